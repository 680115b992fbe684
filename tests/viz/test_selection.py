from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsss.data.sample import Sample
from wsss.errors import InvalidInput
from wsss.viz.report.pictures.selection import choose, distinct, read_per_image, shares


def samples(count: int, prefix: str = "i") -> list[Sample]:
    return [Sample(f"{prefix}{place:03d}", Path("x.png")) for place in range(count)]


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(0, 40), min_size=1), st.integers(0, 100))
def test_shares_are_even_and_use_the_whole_count(sizes: dict[str, int], count: int) -> None:
    share = shares(sizes, count)
    assert sum(share.values()) == min(count, sum(sizes.values()))
    assert all(0 <= share[name] <= sizes[name] for name in sizes)
    # A split that could give more has at most one image less than any other.
    unfilled = [share[name] for name in sizes if share[name] < sizes[name]]
    assert not unfilled or min(unfilled) >= max(share.values()) - 1


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 5))
def test_images_are_distinct_and_as_many_as_requested(size: int, count: int, seed: int) -> None:
    values = {"val": {sample.id: (7 * index % 11) / 11 for index, sample in enumerate(samples(size)) if index % 5}}
    picks = choose({"val": samples(size)}, count, seed, values)
    ids = [pick.sample.id for pick in picks]
    assert len(set(ids)) == len(ids) == min(size, count)


def test_worst_random_best() -> None:
    pool = samples(30)
    values = {"val": {sample.id: index / 30 for index, sample in enumerate(pool)}}
    picks = choose({"val": pool}, 9, 0, values)
    assert [pick.reason for pick in picks] == ["worst"] * 3 + ["random"] * 3 + ["best"] * 3
    assert [pick.sample.id for pick in picks if pick.reason == "worst"] == ["i000", "i001", "i002"]
    assert [pick.sample.id for pick in picks if pick.reason == "best"] == ["i029", "i028", "i027"]
    assert picks == choose({"val": pool}, 9, 0, values)
    assert {choose({"val": pool}, 9, seed, values) for seed in range(5)} != {picks}


def test_without_scores_the_images_are_evenly_spaced() -> None:
    picks = choose({"train": samples(100), "val": samples(2, "v")}, 6, 0, {})
    assert [pick.sample.id for pick in picks] == ["i000", "i025", "i050", "i075", "v000", "v001"]


def test_per_image_scores_are_read(tmp_path: Path) -> None:
    assert read_per_image(tmp_path) == {}
    (tmp_path / "per_image.csv").write_text("image_id,miou,recall\na,0.5,1\nb,,1\nc,nan,0\n")
    assert read_per_image(tmp_path) == {"a": 0.5}
    (tmp_path / "per_image.csv").write_text("image,miou\na,0.5\n")
    with pytest.raises(InvalidInput) as error:
        read_per_image(tmp_path)
    assert error.value.found == ["image", "miou"]
    (tmp_path / "per_image.csv").write_text("image_id,miou\na,good\n")
    with pytest.raises(InvalidInput) as error:
        read_per_image(tmp_path)
    assert error.value.subject == f"{tmp_path / 'per_image.csv'}: miou"


def test_redundant_splits_are_omitted() -> None:
    def some(*ids: str) -> list[Sample]:
        return [Sample(name, Path(f"{name}.png")) for name in ids]

    splits = {
        "train": some("a", "b", "c"),
        "train-small": some("a"),
        "test": some("d", "e", "f"),
        "test-noisy": some("d", "e", "f"),
        "test-x": some("d", "e"),
        "test-y": some("f"),
        "extra": some("c", "g"),
    }
    assert list(distinct(splits)) == ["train", "test-x", "test-y", "extra"]
    assert list(distinct({"a": some("1"), "b": some("1")})) == ["a"]
    assert list(distinct({"a": some("1", "2"), "b": some("1")})) == ["a"]


def test_without_scores_one_third_contradicts_the_labels() -> None:
    twelve = [Sample(f"{number:02}", Path("x")) for number in range(12)]
    picks = choose({"val": twelve}, 6, 0, {}, ["07", "gone", "03", "01"])
    assert [(pick.sample.id, pick.reason) for pick in picks[:2]] == [
        ("07", "contradicts labels"),
        ("03", "contradicts labels"),
    ]
    assert {pick.reason for pick in picks[2:]} == {"spread"} and len({pick.sample.id for pick in picks}) == 6
    scored = choose({"val": twelve}, 6, 0, {"val": {one.id: 0.5 for one in twelve}}, ["07"])
    assert "contradicts labels" not in {pick.reason for pick in scored}
