"""HD95 against brute force over all pairs of pixels, and its values for empty masks."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.spatial.distance import cdist

from wsss.errors import InvalidInput
from wsss.metrics.surface import hd95

SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)
PAIRS = SHAPES.flatmap(lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape)))


def surface_pixels(mask):
    """Foreground pixels with a 4-neighbour that is background or outside."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.argwhere(mask & ~inner)


@settings(max_examples=200)
@given(PAIRS)
def test_agrees_with_all_pairs_of_surface_pixels(pair):
    pred, gt = pair
    if not pred.any() or not gt.any():
        return
    distances = cdist(surface_pixels(pred), surface_pixels(gt))
    stacked = np.concatenate([distances.min(0), distances.min(1)])
    assert hd95(pred, gt) == pytest.approx(np.percentile(stacked, 95), abs=1e-12)


@given(PAIRS)
@settings(max_examples=50)
def test_symmetric_bounded_and_zero_for_the_same(pair):
    pred, gt = pair
    value = hd95(pred, gt)
    assert value == hd95(gt, pred)
    assert 0 <= value <= math.dist((0, 0), (pred.shape[0] - 1, pred.shape[1] - 1))
    assert hd95(pred, pred) == 0


def test_directions_are_stacked_not_compared():
    """19 surface pixels of 20 agree in one direction: the larger of two percentiles would be another number."""
    gt = np.zeros((1, 40), bool)
    gt[0, :5] = True
    pred = gt.copy()
    pred[0, 39] = True
    distances = [0] * 10 + [35]
    assert hd95(pred, gt) == pytest.approx(np.percentile(distances, 95))
    assert hd95(pred, gt) != pytest.approx(np.percentile([0] * 5 + [35], 95))


def test_empty_masks():
    empty, dot = np.zeros((512, 512), bool), np.zeros((512, 512), np.uint8)
    dot[3, 4] = 255
    assert hd95(empty, empty) == 0
    assert hd95(empty, dot) == hd95(dot, empty) == pytest.approx(math.sqrt(2) * 511)


@pytest.mark.parametrize(
    ("pred", "gt", "subject"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), "pred and gt"),
        (np.zeros((2, 2, 2)), np.zeros((2, 2)), "pred"),
        (np.zeros((2, 2)), np.full((2, 2), 0.4), "gt"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "pred"),
        ([["a"]], [["a"]], "pred"),
        ([[1j]], [[1j]], "pred"),
        ([[None]], [[None]], "pred"),
    ],
)
def test_invalid_masks(pred, gt, subject):
    with pytest.raises(InvalidInput) as error:
        hd95(pred, gt)
    assert error.value.subject == subject
