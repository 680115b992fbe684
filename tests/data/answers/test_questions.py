"""The items that are asked about, and their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import bare_walls

from wsss.data.answers.answer_rows import Item
from wsss.data.answers.questions import QuestionsConfig, question_items
from wsss.data.answers.uncertainty import binary_entropy, image_uncertainty, tile_uncertainty, uncertainty_at
from wsss.data.sample import Sample
from wsss.errors import InvalidInput
from wsss.io.rasters.rgb_images import write_png


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sample, ...]:
    return bare_walls(tmp_path_factory.mktemp("questions"), 5).split("train")


def items(
    samples: tuple[Sample, ...], seed: int = 0, maps_of: Any = None, answered: Sequence[Item] = (), **config: Any
) -> list[Item]:
    return question_items(samples, QuestionsConfig(**config), seed=seed, maps_of=maps_of, answered=answered)


def test_random_tiles_are_distinct_inside_and_even(samples: tuple[Sample, ...]) -> None:
    found = items(samples, count=203, size=9)
    assert len(set(found)) == 203
    assert all(0 <= item.x <= 96 - 9 and 0 <= item.y <= 96 - 9 and item.size == 9 for item in found)
    assert {max(item.x for item in found) > 80, min(item.x for item in found) < 8} == {True}
    for number in (5, 50, 203):  # any number of first answers covers all images evenly
        counts = Counter(item.image for item in found[:number])
        assert len(counts) == 5 and max(counts.values()) - min(counts.values()) <= 1
    assert items(samples, count=50, size=9) == found[:50] == items(samples, count=203, size=9)[:50]
    assert items(samples, count=50, size=9, seed=1) != found[:50]


@pytest.mark.parametrize("order", ["random", "file"])
def test_another_image_does_not_discard_answers(samples: tuple[Sample, ...], order: str) -> None:
    before = items(samples[:4], count=40, order=order)
    after = items(samples, count=40, order=order, answered=before[:30])
    assert set(before[:30]) <= set(after) and len(set(after)) == len(after) <= 40 + 30
    assert Counter(item.image for item in after)[samples[4].id] == 8
    assert len(set(items(samples, count=40)) - set(before)) == 8  # the same positions as before, fewer of each image
    assert items(samples[::-1], count=40) == items(samples, count=40)
    assert items(samples, count=5, answered=before[:30], seed=9)[:5] == items(samples, count=5, seed=9)


def test_answers_about_something_else_are_not_kept(samples: tuple[Sample, ...]) -> None:
    others = [Item("x", 1, 2, 9), Item(samples[0].id, 1, 2, 7), Item(samples[0].id)]
    assert items(samples, count=10, size=9, answered=others) == items(samples, count=10, size=9)


def test_answered_tiles_do_not_count_in_uncertain_order(samples: tuple[Sample, ...]) -> None:
    rng = np.random.default_rng(3)
    maps = {sample.id: rng.random((1, 96, 96)) for sample in samples}

    def uncertain(answered: list[Item]) -> list[Item]:
        return items(samples, count=10, size=24, order="uncertain", maps_of=lambda s: maps[s.id], answered=answered)

    first = uncertain([])
    second = uncertain(first)
    assert len(second) == 20 and second[10:] == first and not set(second[:10]) & set(first)
    whole = items(samples, whole=True, order="uncertain", maps_of=lambda s: maps[s.id], answered=[Item("w2")])
    assert sorted(item.id for item in whole) == [sample.id for sample in samples] and whole[-1].id == "w2"


@pytest.mark.parametrize("order", ["random", "uncertain"])
def test_items_with_answers_about_other_classes_come_first(samples: tuple[Sample, ...], order: str) -> None:
    """Tiles count only with answers about all classes, so a second class is asked about in the tiles of the first."""
    rng = np.random.default_rng(3)
    maps = {name: {sample.id: rng.random((1, 96, 96)) for sample in samples} for name in ("crack", "moss")}

    def ask(about: str, answered: Sequence[Item], unfinished: Sequence[Item], **config: Any) -> list[Item]:
        return question_items(
            samples, QuestionsConfig(**{"order": order, "size": 24, **config}), seed=0,
            maps_of=lambda sample: maps[about][sample.id], answered=answered, unfinished=unfinished,
        )  # fmt: skip

    crack = ask("crack", [], [], count=10)
    moss = ask("moss", crack, crack, count=10)
    assert set(moss[:10]) == set(crack) and (order == "random" or moss[:10] != crack)
    assert set(ask("moss", crack, crack, count=4)[:10]) == set(crack)
    more = ask("moss", crack, crack[3:], count=12)
    assert set(more[:7]) == set(crack[3:])
    assert order == "random" or (len(more) == 15 and set(more[12:]) == set(crack[:3]))  # the complete ones last
    if order == "uncertain":
        by_image = Counter(item.image for item in moss[:5])
        assert set(by_image.values()) == {1}  # as always, each image in turn
    whole = ask("moss", [Item("w2"), Item("w3")], [Item("w3")], whole=True, size=18)
    assert whole[0].id == "w3" and sorted(item.id for item in whole) == [sample.id for sample in samples]
    assert order == "random" or whole[-1].id == "w2"


def test_the_uncertainty_at_a_position_is_that_of_the_tile() -> None:
    maps = np.random.default_rng(1).random((2, 30, 41))
    scored = tile_uncertainty(maps, 9, np.random.default_rng(0))
    assert [uncertainty_at(maps, y, x, 9) for _, y, x in scored] == pytest.approx([score for score, _, _ in scored])
    assert uncertainty_at(maps, 25, 0, 9) == 0


@pytest.mark.parametrize("config", [{"whole": True}, {"size": 9}])
def test_an_empty_split_is_called_empty(config: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as error:
        items((), **config)
    assert error.value.subject == "--split" and "no images" in error.value.problem


def test_the_order_of_files_has_the_same_tiles(samples: tuple[Sample, ...]) -> None:
    drawn, sorted_ = items(samples, count=40), items(samples, count=40, order="file")
    assert sorted_ == sorted(drawn, key=lambda item: (item.image, item.y, item.x)) != drawn


def test_small_images_have_all_their_tiles(tmp_path: Path) -> None:
    for name, side in (("a", 4), ("b", 2)):
        write_png(tmp_path / f"{name}.png", np.zeros((side, side + 1, 3), np.uint8))
    samples = (Sample("a", tmp_path / "a.png"), Sample("b", tmp_path / "b.png"))
    found = items(samples, size=3)
    assert sorted(found) == [Item("a", x, y, 3) for x in range(3) for y in range(2)]
    with pytest.raises(InvalidInput):
        items(samples, size=5)


def test_whole_images(samples: tuple[Sample, ...]) -> None:
    ids = [sample.id for sample in samples]
    assert [item.id for item in items(samples, whole=True, order="file")] == ids
    assert sorted(item.id for item in items(samples, whole=True)) == ids
    assert items(samples, whole=True, seed=1) != items(samples, whole=True, seed=2)


def test_entropy() -> None:
    assert binary_entropy(np.array([0.0, 1.0])).max() < 1e-9 and binary_entropy(np.array([0.5]))[0] == 1
    np.testing.assert_allclose(binary_entropy(np.array([0.25, 0.75])), 0.8112781, rtol=1e-6)


def test_the_least_certain_answer_comes_first() -> None:
    """A map is certain about tiles without the class and with enough of it, also if a boundary crosses the tile."""
    maps = np.zeros((1, 30, 40))
    maps[0, :10, :10] = 1  # certainly yes
    maps[0, 2:4, 12:16] = 1  # yes, in 8 % of the pixels
    maps[0, 10:20, :10] = 0.5  # undecided
    maps[0, 25, 25] = 0.5  # one pixel does not matter
    scored = {(y, x): score for score, y, x in tile_uncertainty(maps, 10, np.random.default_rng(0))}
    assert set(scored) == {(y, x) for y in (0, 10, 20) for x in (0, 10, 20, 30)}
    assert max(scored, key=lambda place: scored[place]) == (10, 0) and scored[10, 0] == 1
    assert all(score < 1e-6 for place, score in scored.items() if place != (10, 0))


def test_uncertain_order_takes_images_in_turn(samples: tuple[Sample, ...]) -> None:
    rng = np.random.default_rng(3)
    maps = {sample.id: rng.random((2, 96, 96)) * (number + 1) / 10 for number, sample in enumerate(samples)}
    found = items(samples, count=15, size=24, order="uncertain", maps_of=lambda sample: maps[sample.id])
    assert found == items(samples, count=15, size=24, order="uncertain", maps_of=lambda sample: maps[sample.id])

    def certainty(item: Item) -> float:
        tile = maps[item.image][:, item.y : item.y + 24, item.x : item.x + 24].reshape(2, -1)
        reached = np.sort(tile, 1)[:, round(0.95 * tile.shape[1])]
        return float(np.abs(reached - 0.5).min())

    for first in (0, 5, 10):
        round_ = found[first : first + 5]
        assert {item.image for item in round_} == {sample.id for sample in samples}
        assert [item.image for item in round_] == ["w4", "w3", "w2", "w1", "w0"]  # the least certain first
    for sample in samples:
        certainties = [certainty(item) for item in found if item.image == sample.id]
        assert certainties == pytest.approx(sorted(certainties), abs=0.02)


def test_whole_images_are_sorted_by_uncertainty(samples: tuple[Sample, ...]) -> None:
    levels = {"w0": 0.9, "w1": 0.5, "w2": 0.0, "w3": 0.6, "w4": 0.2}
    maps = {name: np.stack([np.zeros((8, 8)), np.full((8, 8), level)]) for name, level in levels.items()}
    found = items(samples, whole=True, order="uncertain", maps_of=lambda sample: maps[sample.id])
    assert [item.id for item in found] == ["w1", "w3", "w4", "w0", "w2"]
    assert image_uncertainty(maps["w1"]) == 1
