"""One column of a table against plain loops."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsss.io.sparse_counts import SparseCounts
from wsss.metrics.comparison import Bootstrap, Measured, compare
from wsss.metrics.overlap import mean_scores, overlap_scores
from wsss.metrics.statistics import percentile_interval

MIOU = partial(mean_scores, measure="miou")
BOOTSTRAP = Bootstrap(resamples=150, confidence=0.9, seed=4)


def miou(counts: np.ndarray) -> float:
    return overlap_scores(counts.sum(0), ("background", "a", "b"))["miou"]


def measured(seed: int, quality: float, images: int = 12) -> Measured:
    generator = np.random.default_rng([seed, int(100 * quality)])
    counts = generator.integers(1, 20, (images, 3, 4))
    counts[:, range(3), range(3)] += int(100 * quality)
    return Measured(miou(counts), partial(SparseCounts.of, (3, 4), counts))


@given(st.integers(1, 3), st.integers(1, 3))
@settings(max_examples=15)
def test_cells_and_differences_as_by_hand(mine, theirs):
    rows = {
        "reference": {str(seed): measured(seed, 0.3) for seed in range(theirs)},
        "variant": {str(seed): measured(seed, 0.4) for seed in range(mine)},
    }
    cells = compare(rows, MIOU, "reference", BOOTSTRAP)
    draws = np.random.default_rng(4)
    picked = np.concatenate([draws.integers(0, 12, (128, 12)), draws.integers(0, 12, (22, 12))])
    slow = {
        row: np.array([[miou(seed.counts().dense()[each]) for each in picked] for seed in seeds.values()])
        for row, seeds in rows.items()
    }
    for row, seeds in rows.items():
        assert cells[row].mean == pytest.approx(np.mean([seed.value for seed in seeds.values()]))
        assert cells[row].interval == pytest.approx(percentile_interval(slow[row].mean(0), 0.9))
    common = min(mine, theirs)
    by_seed = [rows["variant"][str(s)].value - rows["reference"][str(s)].value for s in range(common)]
    difference = cells["variant"].difference
    assert (difference.mean, difference.seeds) == (pytest.approx(np.mean(by_seed)), common)
    assert difference.positive == sum(value > 0 for value in by_seed)
    paired = (slow["variant"][:common] - slow["reference"][:common]).mean(0)
    assert difference.interval == pytest.approx(percentile_interval(paired, 0.9))
    assert cells["reference"].difference is None


def test_a_variant_that_is_its_reference_differs_by_nothing():
    same = {str(seed): measured(seed, 0.3) for seed in range(3)}
    difference = compare({"a": same, "b": same}, MIOU, "a", BOOTSTRAP)["b"].difference
    assert (difference.mean, difference.std, difference.interval, difference.positive) == (0.0, 0.0, (0.0, 0.0), 0)


def test_undefined_scores_and_missing_counts():
    rows = {
        "a": {"0": Measured(0.5), "1": Measured(None)},
        "b": {"0": Measured(0.6), "1": Measured(0.8)},
        "c": {"0": Measured(None)},
    }
    cells = compare(rows, MIOU, "a", BOOTSTRAP)
    assert cells["c"] is None and cells["a"].seeds == {"0": 0.5} and cells["a"].std is None
    assert cells["b"].interval is None and cells["b"].mean == pytest.approx(0.7)
    assert (cells["b"].difference.mean, cells["b"].difference.seeds) == (pytest.approx(0.1), 1)
    assert cells["b"].difference.interval is None


def test_without_a_reference_or_a_common_seed_there_is_no_difference():
    rows = {"a": {"0": measured(0, 0.3)}, "b": {"1": measured(1, 0.4)}}
    assert compare(rows, MIOU, None, BOOTSTRAP)["b"].difference is None
    assert compare(rows, MIOU, "a", BOOTSTRAP)["b"].difference is None
    assert compare(rows, MIOU, "a", Bootstrap(resamples=0))["b"].interval is None
