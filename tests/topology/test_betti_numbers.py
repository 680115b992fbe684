"""Betti numbers against labelling with SciPy and against the published numbers of TopoMortar's labels."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from scipy.ndimage import label
from shareddata import SHARED_DATA, needs_shared_data

from wsss.errors import InvalidInput
from wsss.topology import barcode, betti_numbers, local_betti_error, skeleton

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))
STRUCTURES = {4: np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]]), 8: np.ones((3, 3))}


@settings(max_examples=300)
@given(MASKS, st.sampled_from([4, 8]))
def test_numbers_equal_labelled_components_and_background(mask, connectivity):
    components = label(mask, STRUCTURES[connectivity])[1]
    background = label(np.pad(~mask, 1, constant_values=True), STRUCTURES[12 - connectivity])[1]
    assert betti_numbers(mask, connectivity=connectivity) == (components, background - 1)


@settings(max_examples=100)
@given(MASKS)
def test_four_connected_numbers_agree_with_the_barcode(mask):
    result = barcode(mask)
    components = len(result.dim0) + int(mask.any())
    assert betti_numbers(mask, connectivity=4) == (components, len(result.dim1))


def test_by_hand():
    diagonal = np.eye(3, dtype=int)
    assert betti_numbers(diagonal) == (1, 0)
    assert betti_numbers(diagonal, connectivity=4) == (3, 0)
    diamond = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    assert betti_numbers(diamond) == (1, 1)
    assert betti_numbers(diamond, connectivity=4) == (4, 0)
    assert betti_numbers(np.zeros((4, 5), np.uint8)) == (0, 0)
    assert betti_numbers(np.full((4, 5), 255, np.uint8)) == (1, 0)
    assert betti_numbers([[1]]) == (1, 0)


@needs_shared_data
def test_published_numbers_of_every_label():
    dataset = SHARED_DATA / "topomortar" / "dataset"
    with (dataset / "betti_numbers.csv").open() as file:
        published = {row["ID"]: (int(row["Betti0"]), int(row["Betti1"])) for row in csv.DictReader(file)}
    labels = sorted((dataset / "test" / "accurate").glob("*.png"))
    assert len(labels) >= 66
    for path in labels:
        assert betti_numbers(np.asarray(Image.open(path))) == published[path.stem], path.stem


def test_the_local_error_detects_errors_that_cancel_globally():
    pred, gt = np.zeros((8, 12), bool), np.zeros((8, 12), bool)
    pred[1, 1] = gt[6, 10] = True  # one component each, far apart
    assert betti_numbers(pred) == betti_numbers(gt)
    assert local_betti_error(pred, gt, window=4) == (2 / 6, 0)
    assert local_betti_error(pred, gt, window=128) == (0, 0)
    assert local_betti_error(pred, pred, window=3) == (0, 0)


def test_local_error_counts_smaller_windows_at_the_border():
    pred, gt = np.zeros((5, 5), bool), np.zeros((5, 5), bool)
    pred[4, 4] = True
    assert local_betti_error(pred, gt, window=4) == (1 / 4, 0)


MASK = np.ones((4, 4), bool)


@pytest.mark.parametrize(
    ("call", "subject", "found"),
    [
        (lambda: betti_numbers([[0.2, 0.7]]), "mask", 0.2),
        (lambda: betti_numbers([[np.nan, 1.0]]), "mask", pytest.approx(np.nan, nan_ok=True)),
        (lambda: betti_numbers(np.zeros((0, 3))), "mask", "shape (0, 3)"),
        (lambda: betti_numbers(np.zeros((3, 3, 3))), "mask", "shape (3, 3, 3)"),
        (lambda: betti_numbers([["x"]]), "mask", "<U1"),
        (lambda: betti_numbers(MASK, connectivity=6), "connectivity", 6),
        (lambda: local_betti_error(MASK, MASK, window=0), "window", 0),
        (lambda: local_betti_error(MASK, MASK, window=2.5), "window", 2.5),  # type: ignore[arg-type]
        (lambda: local_betti_error(MASK, MASK[:2]), "pred and gt", "(4, 4) and (2, 4)"),
        (lambda: skeleton(MASK, method="thin"), "method", "thin"),
        (lambda: skeleton(0.5 * MASK), "mask", 0.5),
    ],
)
def test_invalid_arguments(call, subject, found):
    with pytest.raises(InvalidInput) as error:
        call()
    assert (error.value.subject, error.value.found) == (subject, found)


@pytest.mark.parametrize("method", ["zhang", "lee"])
def test_skeletons_are_thin_and_keep_the_topology(method):
    mask = np.zeros((40, 60), np.uint8)
    mask[5:35, 5:55] = 255
    mask[14:26, 14:46] = 0
    result = skeleton(mask, method=method)
    assert result.dtype == bool
    assert not (result & (mask == 0)).any()
    assert betti_numbers(result) == betti_numbers(mask) == (1, 1)
    squares = result[:-1, :-1] & result[1:, :-1] & result[:-1, 1:] & result[1:, 1:]
    assert not squares.any()


def test_skeletons_of_empty_masks():
    assert not skeleton(np.zeros((5, 6), bool)).any()
    assert skeleton(np.zeros((0, 6), bool)).shape == (0, 6)
