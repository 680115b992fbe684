"""Histograms of all thresholds against masks of each threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsss.metrics.overlap import confusion_matrix
from wsss.metrics.threshold_curve import (
    best_recall,
    even_levels,
    foreground_precision_recall,
    level_confusions,
    level_counts,
    level_histogram,
)
from wsss.refine.thresholds import Fixed, make_seeds, seeds_to_mask

CLASSES = 4
LEVELS = (0.0, 0.02, 0.1, 0.34, 0.5, 0.98)
truths = arrays(np.uint8, (5, 6), elements=st.sampled_from([0, 1, 2, 3, 255]))
# Many values lie exactly on a threshold, where "above" is decided.
heights = st.one_of(st.sampled_from(LEVELS), st.floats(0, 1, width=16)).map(np.float32)
stacks = st.integers(0, 3).flatmap(lambda count: arrays(np.float32, (count, 5, 6), elements=heights))


def by_masks(maps: np.ndarray, indices: tuple[int, ...], truth: np.ndarray, level: float) -> np.ndarray:
    mask = seeds_to_mask(make_seeds(Fixed(name="fixed", foreground=level, background=level), maps, indices))
    return confusion_matrix(mask, truth, CLASSES)


@given(stacks, truths, st.permutations([1, 2, 3]))
def test_every_threshold_counts_as_its_masks_do(maps, truth, order):
    indices = tuple(order[: len(maps)])
    histogram = level_histogram(maps, indices, truth, CLASSES, LEVELS)
    assert histogram.sum() == (truth != 255).sum()
    for level, confusion in zip(LEVELS, level_confusions(histogram), strict=True):
        assert np.array_equal(confusion, by_masks(maps, indices, truth, level))


@given(stacks, truths)
def test_maps_may_come_one_by_one_and_bands_change_nothing(maps, truth):
    whole = level_histogram(maps, (1, 2, 3)[: len(maps)], truth, CLASSES, LEVELS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wsss.metrics.threshold_curve.BAND", 2)
        assert np.array_equal(level_histogram(iter(maps), (1, 2, 3)[: len(maps)], truth, CLASSES, LEVELS), whole)


@given(stacks, stacks, truths, truths)
def test_histograms_of_images_add_up(one, other, truth, second):
    first = level_histogram(one, (1, 2, 3)[: len(one)], truth, CLASSES, LEVELS)
    then = level_histogram(other, (1, 2, 3)[: len(other)], second, CLASSES, LEVELS)
    assert np.array_equal(level_confusions(first + then), level_confusions(first) + level_confusions(then))


@given(stacks, truths, st.floats(0, 1))
def test_precision_and_recall_of_the_foreground(maps, truth, minimum):
    confusions = level_confusions(level_histogram(maps, (1, 2, 3)[: len(maps)], truth, CLASSES, LEVELS))
    precision, recall = foreground_precision_recall(level_counts(confusions))
    shown = [index for index in (1, 2, 3) if (truth == index).any()]
    best = []
    for place, matrix in enumerate(confusions):
        if not shown:
            assert np.isnan(precision[place]) and np.isnan(recall[place])
            continue
        p = np.mean([matrix[i, i] / max(matrix[:, i].sum(), 1) for i in shown])
        r = np.mean([matrix[i, i] / matrix[i].sum() for i in shown])
        assert precision[place] == pytest.approx(p) and recall[place] == pytest.approx(r)
        best += [recall[place]] if precision[place] >= minimum else []
    result, place = best_recall(level_counts(confusions), minimum)
    if best:
        assert result == max(best) == recall[place]
    else:
        assert place == -1 and (result == 0 if shown else np.isnan(result))
    if shown:
        assert (np.diff(recall) <= 1e-12).all()  # a higher threshold finds no more


def test_best_recall_of_many_at_once_is_that_of_each():
    generator = np.random.default_rng(0)
    many = generator.integers(1, 60, (7, len(LEVELS), CLASSES, CLASSES + 1))
    counts = level_counts(many)
    values, places = best_recall(counts, 0.25)
    for value, place, count in zip(values, places, counts, strict=True):
        alone = best_recall(count, 0.25)
        assert (value, place) == alone


def test_levels_are_even_and_begin_at_zero():
    assert even_levels(4) == (0.0, 0.25, 0.5, 0.75)
    assert even_levels(100)[34] == 0.34
