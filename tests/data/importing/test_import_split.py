"""The held-out part has a proportional share of every class."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from shareddata import SHARED_DATA, needs_shared_data

from wsss.data.importers.holdout import stratified
from wsss.data.readers.label_tables import read_label_table

datasets = st.dictionaries(
    st.integers(0, 500).map(lambda number: f"i{number}"), st.sets(st.sampled_from("abcde")), min_size=2, max_size=60
)


@given(datasets, st.floats(0.05, 0.9), st.integers(0, 5))
def test_the_division_depends_only_on_ids_labels_and_seed(labels: dict[str, set[str]], share: float, seed: int) -> None:
    parts = stratified(labels, share, seed=seed)
    assert list(parts) == list(labels) and set(parts.values()) == {"train", "val"}
    backwards = dict(reversed(labels.items()))
    assert stratified(backwards, share, seed=seed) == parts


@given(st.dictionaries(st.integers(0, 500).map(str), st.sampled_from("abc"), min_size=2, max_size=80))
def test_with_one_class_per_image_every_class_is_divided_exactly(labels: dict[str, str]) -> None:
    parts = stratified({name: {kind} for name, kind in labels.items()}, 0.2)
    for kind, count in Counter(labels.values()).items():
        held_out = sum(parts[name] == "val" for name in labels if labels[name] == kind)
        assert abs(held_out - 0.2 * count) <= 1


def test_a_class_of_one_or_two_images_is_in_train() -> None:
    labels = {f"i{number}": {"common"} for number in range(40)} | {"x": {"once"}, "y": {"twice"}, "z": {"twice"}}
    for seed in range(20):
        parts = stratified(labels, 0.2, seed=seed)
        assert parts["x"] == parts["y"] == parts["z"] == "train"


def test_images_without_a_class_are_divided_too() -> None:
    labels: dict[str, set[str]] = {f"i{number}": {"a"} if number < 50 else set() for number in range(100)}
    held_out = [name for name, part in stratified(labels, 0.2).items() if part == "val"]
    assert len(held_out) == 20 and sum(bool(labels[name]) for name in held_out) == 10


def test_copies_stay_together() -> None:
    labels = {f"i{number}": {"ab"[number % 2]} for number in range(30)}
    groups = [[f"i{number}", f"i{number + 15}"] for number in range(15)]
    for seed in range(5):
        parts = stratified(labels, 0.3, seed=seed, equal=groups)
        assert all(len({parts[name] for name in group}) == 1 for group in groups)
        assert Counter(parts.values())["val"] in (8, 10)


def test_other_seeds_hold_out_other_images() -> None:
    labels = {f"i{number}": {"a"} for number in range(50)}
    assert len({tuple(stratified(labels, 0.2, seed=seed).values()) for seed in range(5)}) == 5
    assert set(stratified(labels, 0).values()) == {"train"}
    assert stratified({"only": {"a"}}, 0.2) == {"only": "train"}


@needs_shared_data
def test_real_labels_are_divided_more_evenly_than_by_chance() -> None:
    table = read_label_table(SHARED_DATA / "voc_animals" / "image_labels.csv")
    labels = {row.id: set(row.labels.split()) for row in table}
    counts = Counter(name for names in labels.values() for name in names)
    for seed in range(3):
        parts = stratified(labels, 0.2, seed=seed)
        held_out = Counter(name for image, names in labels.items() if parts[image] == "val" for name in names)
        assert all(abs(held_out[name] - 0.2 * count) <= 1.5 for name, count in counts.items())
        assert abs(Counter(parts.values())["val"] - 0.2 * len(labels)) <= 4
