"""Variation over seeds and over images, against the standard library, SciPy and plain loops."""

from __future__ import annotations

import statistics
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from wsss.io.sparse_counts import SparseCounts
from wsss.metrics.overlap import mean_scores, overlap_scores
from wsss.metrics.statistics import CHUNK, draws, percentile_interval, spread
from wsss.metrics.statistics import replicates as sparse_replicates

MIOU = partial(mean_scores, measure="miou")
MEASURES = ("miou", "precision", "recall", "pixel_accuracy")
NAMES = ("background", "a", "b")
numbers = st.floats(-1e6, 1e6, allow_subnormal=False)
confusions = arrays(np.int64, (3, 4), elements=st.integers(0, 50))
stacks = arrays(np.int64, st.tuples(st.integers(1, 6), st.just(3), st.just(4)), elements=st.integers(0, 50))


def replicates(counts: np.ndarray, *arguments: Any, **keys: Any) -> np.ndarray:
    return sparse_replicates(SparseCounts.of(counts.shape[1:], counts), *arguments, **keys)


def images(count: int, seed: int, quality: float) -> np.ndarray:
    """Confusion counts of images of which each is as hard as the next variant finds it."""
    generator = np.random.default_rng(seed)
    ease = np.clip(np.random.default_rng(1).normal(quality, 0.15, count), 0.05, 0.95)
    result = np.zeros((count, 3, 4), np.int64)
    for place in range(count):
        for true in range(3):
            size = int(generator.integers(50, 400)) if true in (0, 1 + place % 2) else 0
            right = generator.binomial(size, ease[place])
            result[place, true, true] += right
            result[place, true, (true + 1) % 3] += size - right
    return result


@given(st.lists(numbers, min_size=2, max_size=6))
def test_mean_and_sample_standard_deviation(values):
    result = spread(values)
    assert result.mean == pytest.approx(statistics.fmean(values), rel=1e-9, abs=1e-9)
    assert result.std == pytest.approx(statistics.stdev(values), rel=1e-6, abs=1e-6)
    assert result.count == len(values)


def test_one_seed_and_no_seed():
    assert (spread([0.5]).mean, spread([0.5]).std) == (0.5, None)
    with pytest.raises(ValueError, match="no value"):
        spread([])


@given(stacks)
def test_scores_of_many_matrices_equal_single_scores(stack):
    for measure in MEASURES:
        for counts, value in zip(stack, mean_scores(stack, measure), strict=True):
            alone = overlap_scores(counts, NAMES)[measure]
            assert np.isnan(value) if alone is None else value == pytest.approx(alone, abs=1e-12)


@given(st.integers(1, 40), st.integers(1, 3 * CHUNK), st.integers(0, 5))
@settings(max_examples=25)
def test_every_draw_has_as_many_images_as_the_set(count, resamples, seed):
    drawn = np.concatenate(list(draws(count, resamples, seed)))
    assert drawn.shape == (resamples, count) and (drawn.sum(1) == count).all() and (drawn >= 0).all()
    assert np.array_equal(drawn, np.concatenate(list(draws(count, resamples, seed))))


@given(stacks, st.integers(0, 3))
@settings(max_examples=30)
def test_replicates_are_scores_of_the_images_drawn(stack, seed):
    result = replicates(stack, MIOU, resamples=20, seed=seed)
    drawn = np.random.default_rng(seed).integers(0, len(stack), (20, len(stack)))
    for value, picked in zip(result, drawn, strict=True):
        slow = overlap_scores(sum(stack[place] for place in picked), NAMES)["miou"]
        assert np.isnan(value) if slow is None else value == pytest.approx(slow, abs=1e-12)


@given(stacks, st.integers(0, 3), st.sampled_from(MEASURES))
def test_replicates_equal_those_of_dense_counts(stack, seed, measure):
    """Bit by bit."""
    statistic = partial(mean_scores, measure=measure)
    flat = stack.reshape(len(stack), -1).astype(np.float64)
    dense = [statistic((drawn @ flat).reshape(len(drawn), 3, 4)) for drawn in draws(len(stack), 2 * CHUNK + 5, seed)]
    mine = replicates(stack, statistic, resamples=2 * CHUNK + 5, seed=seed)
    assert mine.tobytes() == np.concatenate(dense).tobytes()


@pytest.mark.parametrize("paired", [False, True])
def test_intervals_agree_with_scipy(paired):
    first, other = images(60, seed=2, quality=0.7), images(60, seed=3, quality=0.6)

    def score(picked, axis=-1):
        value = MIOU(first[picked].sum(axis - 2 if axis < 0 else axis))
        return value - MIOU(other[picked].sum(axis - 2 if axis < 0 else axis)) if paired else value

    theirs = stats.bootstrap(
        (np.arange(60),), score, n_resamples=20_000, method="percentile", vectorized=True, batch=1000, random_state=7
    ).confidence_interval
    mine = replicates(first, MIOU, resamples=20_000, seed=1)
    if paired:
        mine = mine - replicates(other, MIOU, resamples=20_000, seed=1)
    low, high = percentile_interval(mine)
    width = theirs.high - theirs.low
    assert low == pytest.approx(theirs.low, abs=0.04 * width) and high == pytest.approx(theirs.high, abs=0.04 * width)


def test_pairing_narrows_the_interval_of_a_difference():
    one, other = images(80, seed=2, quality=0.7), images(80, seed=3, quality=0.68)
    first, second = replicates(one, MIOU, seed=1), replicates(other, MIOU, seed=1)
    paired = percentile_interval(first - second)
    unpaired = percentile_interval(first - replicates(other, MIOU, seed=2))
    assert paired[1] - paired[0] < 0.7 * (unpaired[1] - unpaired[0])
    assert percentile_interval(first - replicates(one, MIOU, seed=1)) == (0.0, 0.0)


@given(arrays(np.float64, st.integers(1, 50), elements=st.floats(0, 1)), st.floats(0.5, 0.99))
def test_a_wider_confidence_gives_a_wider_interval_within_the_replicates(values, confidence):
    low, high = percentile_interval(values, confidence)
    wide = percentile_interval(values, 0.5 + confidence / 2)
    assert values.min() <= wide[0] <= low <= high <= wide[1] <= values.max()


def test_an_undefined_replicate_leaves_no_interval():
    lonely = np.zeros((2, 3, 4), np.int64)
    lonely[0, 1, 1] = 5  # the other image counts no pixel: drawn alone, there is nothing to score
    assert percentile_interval(replicates(lonely, MIOU, resamples=200)) is None
    with pytest.raises(ValueError, match="no image"):
        replicates(lonely[:0], MIOU)
