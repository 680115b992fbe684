"""Topology metrics against gudhi, scikit-image and the reference implementations, and for empty masks."""

import csv
import json

import gudhi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from scipy.ndimage import gaussian_filter
from shareddata import SHARED_DATA, needs_shared_data
from skimage.measure import label
from skimage.morphology import skeletonize

from wsss.metrics import betti_error, betti_matching_error, cldice, dice, hd95, local_betti_error
from wsss.topology import betti_numbers

SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=10)
PAIRS = SHAPES.flatmap(lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape)))

EMPTY, FULL = np.zeros((7, 9), bool), np.ones((7, 9), bool)
RING = np.zeros((7, 9), bool)
RING[1:6, 1:6] = True
RING[2:5, 2:5] = False
TWO_DOTS = np.zeros((7, 9), bool)
TWO_DOTS[1, 1] = TWO_DOTS[4, 6] = True


def gudhi_betti(mask):
    """Betti numbers of the 4-connected foreground by gudhi's cubical complex of the pixels as vertices."""
    if not mask.any():
        return (0, 0)  # gudhi would count the component that is born at infinity
    complex_ = gudhi.CubicalComplex(vertices=np.where(mask, 0.0, 1.0))
    complex_.persistence()
    return tuple(complex_.persistent_betti_numbers(0.5, 0.5)[:2])


@settings(max_examples=150)
@given(PAIRS)
def test_number_errors_agree_with_labelling_and_with_gudhi(pair):
    def labelled(mask):
        return label(mask, connectivity=2).max(), label(
            np.pad(~mask, 1, constant_values=True), connectivity=1
        ).max() - 1

    pred, gt = pair
    assert betti_error(pred, gt) == tuple(abs(a - b) for a, b in zip(*map(labelled, pair), strict=True))
    by_gudhi = tuple(abs(a - b) for a, b in zip(gudhi_betti(pred), gudhi_betti(gt), strict=True))
    assert betti_error(pred, gt, connectivity=4) == by_gudhi


@settings(max_examples=150)
@given(PAIRS)
def test_matching_error_is_at_least_the_number_error(pair):
    pred, gt = pair
    for frame in ("none", "own-max"):
        error = betti_matching_error(pred, gt, frame=frame)
        framed = [np.pad(mask, 1, constant_values=True) if frame == "own-max" else mask for mask in pair]
        numbers = betti_error(*framed, connectivity=4)
        assert error.dim0 >= numbers.b0 and error.dim1 >= numbers.b1
        assert error == betti_matching_error(gt, pred, frame=frame)
        assert betti_matching_error(pred, pred, frame=frame).total == 0


@settings(max_examples=100)
@given(PAIRS)
def test_against_an_empty_mask_every_feature_is_unmatched(pair):
    mask = pair[0]
    assert betti_matching_error(mask, np.zeros_like(mask), frame="none") == betti_numbers(mask, connectivity=4)


@pytest.mark.parametrize(
    ("pred", "gt", "frame", "expected"),
    [
        (EMPTY, EMPTY, "none", (0, 0)),
        (EMPTY, EMPTY, "own-max", (0, 0)),
        (EMPTY, FULL, "none", (1, 0)),
        (EMPTY, FULL, "own-max", (0, 1)),  # framed, the empty mask is a ring around one hole
        (RING, EMPTY, "none", (1, 1)),
        (RING, EMPTY, "own-max", (1, 1)),  # the hole between ring and frame has its partner, the one inside has not
        (EMPTY, TWO_DOTS, "none", (2, 0)),
        (EMPTY, TWO_DOTS, "own-max", (2, 0)),  # around the dots there is one hole, as in the empty mask
        (RING, RING, "own-max", (0, 0)),
    ],
)
def test_matching_error_of_empty_and_full_masks(pred, gt, frame, expected):
    assert betti_matching_error(pred, gt, frame=frame) == expected
    assert betti_matching_error(gt, pred, frame=frame) == expected


def test_number_errors_of_empty_masks():
    assert betti_error(EMPTY, EMPTY) == (0, 0)
    assert betti_error(EMPTY, RING) == betti_error(RING, EMPTY) == (1, 1)
    assert betti_error(TWO_DOTS, EMPTY) == (2, 0)
    assert local_betti_error(EMPTY, EMPTY) == (0, 0)
    assert local_betti_error(TWO_DOTS, EMPTY, window=4) == (2 / 6, 0)


@settings(max_examples=100)
@given(PAIRS)
def test_cldice_by_hand(pair):
    pred, gt = pair
    value = cldice(pred, gt)
    assert 0 <= value <= 1 and value == cldice(gt, pred)
    if pred.any() and gt.any():
        precision = gt[skeletonize(pred)].mean()
        sensitivity = pred[skeletonize(gt)].mean()
        assert value == pytest.approx(2 * precision * sensitivity / (precision + sensitivity) if precision else 0)
    assert cldice(pred, pred) == 1


@settings(max_examples=150)
@given(PAIRS)
def test_transposed_cldice_is_that_of_transposed_masks(pair):
    pred, gt = pair
    assert cldice(pred, gt, transposed=True) == cldice(pred.T, gt.T)
    assert cldice(pred.T, gt.T, transposed=True) == cldice(pred, gt)


@settings(max_examples=100)
@given(PAIRS)
def test_other_scores_do_not_depend_on_transposition(pair):
    pred, gt = pair
    assert betti_error(pred.T, gt.T) == betti_error(pred, gt)
    assert local_betti_error(pred.T, gt.T, window=3) == pytest.approx(local_betti_error(pred, gt, window=3))
    assert hd95(pred.T, gt.T) == pytest.approx(hd95(pred, gt))
    assert dice(pred.T, gt.T) == dice(pred, gt)


def as_the_authors_load_and_score(pred_path, gt_path):
    """TopoMortar's clDice written out: masks through MONAI's loader, skeletons by scikit-image."""
    load = pytest.importorskip("monai.transforms").LoadImage(image_only=True)
    pred, gt = (np.asarray(load(path)) == 255 for path in (pred_path, gt_path))
    precision, sensitivity = (
        (other & line).sum() / line.sum() for other, line in ((gt, skeletonize(pred)), (pred, skeletonize(gt)))
    )
    return 2 * precision * sensitivity / (precision + sensitivity)


def test_transposed_cldice_is_what_monais_loader_gives(tmp_path):
    generator, differing = np.random.default_rng(0), 0
    for number in range(5):
        field = gaussian_filter(generator.standard_normal((60, 44)), 2)
        gt, pred = field > 0, field + 0.1 * gaussian_filter(generator.standard_normal((60, 44)), 2) > 0
        for name, mask in (("pred", pred), ("gt", gt)):
            Image.fromarray((255 * mask).astype(np.uint8)).save(tmp_path / f"{name}{number}.png")
        theirs = as_the_authors_load_and_score(tmp_path / f"pred{number}.png", tmp_path / f"gt{number}.png")
        assert cldice(pred, gt, transposed=True) == pytest.approx(theirs, abs=1e-12)
        differing += abs(cldice(pred, gt) - theirs) > 1e-6
    assert differing == 5


@needs_shared_data
@pytest.mark.parametrize("kind", ["noisy", "pseudo"])
def test_transposing_changes_cldice_of_every_wall_a_little(kind):
    folder = SHARED_DATA / "topomortar" / "dataset" / "val"
    paths = sorted((folder / kind).glob("*.png"))[:8]
    assert len(paths) == 8
    for path in paths:
        pred, gt = (np.asarray(Image.open(one)) == 255 for one in (path, folder / "accurate" / path.name))
        theirs = as_the_authors_load_and_score(path, folder / "accurate" / path.name)
        assert cldice(pred, gt, transposed=True) == pytest.approx(theirs, abs=1e-12)
        assert 0 < abs(cldice(pred, gt) - theirs) < 0.01


def test_cldice_of_empty_and_disjoint_masks():
    assert cldice(EMPTY, EMPTY) == 1
    assert cldice(EMPTY, RING) == cldice(RING, EMPTY) == 0
    assert cldice(TWO_DOTS, RING & ~TWO_DOTS) == 0


@needs_shared_data
def test_matching_error_of_full_size_labels_agrees_with_the_cpp_reference():
    with (SHARED_DATA / "fixtures" / "topomortar_train_betti_matching_error.csv").open() as file:
        rows = list(csv.DictReader(file))
    train = SHARED_DATA / "topomortar" / "dataset" / "train"
    for row in rows:
        paths = [train / kind / f"{row['id']}.png" for kind in (row["weak"], "accurate")]
        weak, accurate = (np.asarray(Image.open(path)) for path in paths)
        result = betti_matching_error(weak, accurate, frame="own-max" if row["frame"] == "1" else "none")
        assert result == (int(row["bm_error0"]), int(row["bm_error1"])), row


@needs_shared_data
def test_matching_error_agrees_with_both_references_on_binary_cases():
    """Both masks have foreground; for empty masks our definition differs."""
    checked = 0
    keys = {"none": "cpp_superlevel_noframe", "own-max": "cpp_superlevel_frame_of_max"}
    for case in json.loads((SHARED_DATA / "fixtures" / "betti_matching_reference.json").read_text())["cases"]:
        with np.load(SHARED_DATA / "fixtures" / case["file"]) as file:
            pred, gt = file["input0"], file["input1"]
        if not (np.isin(pred, (0, 1)).all() and np.isin(gt, (0, 1)).all() and pred.any() and gt.any()):
            continue
        for frame, key in keys.items():
            expected = [
                sum(len(case[key][dim][name]) for name in ("unmatched0", "unmatched1")) for dim in ("dim0", "dim1")
            ]
            assert list(betti_matching_error(pred, gt, frame=frame)) == expected, case["name"]
        checked += 1
    assert checked >= 5
