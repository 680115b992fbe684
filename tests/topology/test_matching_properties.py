"""Barcodes and matchings on random images: against the plain implementation, against gudhi, and in themselves."""

import gudhi
import numpy as np
import plain_betti_matching as plain
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from wsss.topology import barcode, betti_matching, betti_numbers

FEW_LEVELS = st.integers(0, 4).map(lambda level: level / 4)
ZERO_OR_ONE = st.sampled_from([0.0, 1.0])
ANY_LEVEL = st.floats(-4, 4, width=32).map(lambda value: value + 0.0)
SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)


@st.composite
def pairs(draw, levels=(FEW_LEVELS, ANY_LEVEL, ZERO_OR_ONE)):
    shape = draw(SHAPES)
    return tuple(draw(arrays(np.float64, shape, elements=draw(st.sampled_from(levels)))) for _ in range(2))


binary_pairs = pairs(levels=(ZERO_OR_ONE,))


def pixels(intervals):
    return [
        (tuple(birth), tuple(death))
        for birth, death in zip(intervals.birth_pixels.tolist(), intervals.death_pixels.tolist(), strict=True)
    ]


@settings(max_examples=400)
@given(pairs(), st.sampled_from([np.float32, np.float64]), st.booleans())
@pytest.mark.slow
def test_matching_equals_the_plain_one_pixel_by_pixel(pair, dtype, need_64_bit_keys):
    shift = 1 / 3 if need_64_bit_keys else 0.0  # no float32 equals x + 1/3
    pred, gt = (image.astype(dtype) + dtype(shift) for image in pair)
    result = betti_matching(pred, gt, filtration="sublevel")
    for matching, (matched, free_pred, free_gt) in zip(
        (result.dim0, result.dim1), plain.betti_matching(pred, gt), strict=True
    ):
        assert sorted(zip(pixels(matching.matched_pred), pixels(matching.matched_gt), strict=True)) == sorted(matched)
        assert sorted(pixels(matching.unmatched_pred)) == sorted(free_pred)
        assert sorted(pixels(matching.unmatched_gt)) == sorted(free_gt)


@pytest.mark.parametrize("kind", ["noise", "levels", "binary", "smooth"])
@pytest.mark.parametrize("shape", [(40, 33), (17, 70)])
def test_matching_equals_the_plain_one_on_larger_images(kind, shape):
    random = np.random.default_rng(shape[0])
    pred, gt = random.random((2, *shape)).astype(np.float32)
    if kind == "levels":
        pred, gt = np.round(pred * 6), np.round(gt * 6)
    elif kind == "binary":
        pred, gt = (pred > 0.6).astype(np.float32), (gt > 0.4).astype(np.float32)
    elif kind == "smooth":
        for _ in range(3):
            pred = (pred + np.roll(pred, 1, 0) + np.roll(pred, 1, 1)) / 3
        gt = (pred > pred.mean()).astype(np.float32)
    result = betti_matching(pred, gt)
    for matching, (matched, free_pred, free_gt) in zip(
        (result.dim0, result.dim1), plain.betti_matching(-pred, -gt), strict=True
    ):
        assert sorted(zip(pixels(matching.matched_pred), pixels(matching.matched_gt), strict=True)) == sorted(matched)
        assert sorted(pixels(matching.unmatched_pred)) == sorted(free_pred)
        assert sorted(pixels(matching.unmatched_gt)) == sorted(free_gt)


@settings(max_examples=200)
@given(arrays(np.float64, SHAPES, elements=st.one_of(FEW_LEVELS, ANY_LEVEL)))
def test_barcodes_equal_gudhis(image):
    result = barcode(image, filtration="sublevel")
    cells = gudhi.CubicalComplex(vertices=image)
    cells.compute_persistence(min_persistence=-1)
    for dimension, intervals in ((0, result.dim0), (1, result.dim1)):
        expected = [
            list(pair)
            for pair in cells.persistence_intervals_in_dimension(dimension)
            if np.isfinite(pair[1]) and pair[0] != pair[1]
        ]
        assert sorted(intervals.values.tolist()) == sorted(expected)
    assert result.essential.births.tolist() == [image.min()]


@pytest.mark.parametrize("filtration", ["superlevel", "sublevel"])
def test_barcodes_of_large_images_equal_gudhis(filtration):
    image = np.random.default_rng(5).random((150, 201))
    result = barcode(image, filtration=filtration)
    sign = -1 if filtration == "superlevel" else 1
    cells = gudhi.CubicalComplex(vertices=sign * image)
    cells.compute_persistence(min_persistence=0)
    for dimension, intervals in ((0, result.dim0), (1, result.dim1)):
        expected = sign * cells.persistence_intervals_in_dimension(dimension)
        expected = expected[np.isfinite(expected[:, 1])]
        assert sorted(intervals.values.tolist()) == sorted(expected.tolist())


@settings(max_examples=200)
@given(arrays(np.float64, SHAPES, elements=FEW_LEVELS), st.sampled_from(["none", "own-max", "zero"]))
def test_an_image_matches_itself_completely(image, frame):
    result = betti_matching(image, image, frame=frame)
    assert result.loss() == 0
    assert result.error == 0


@settings(max_examples=200)
@given(pairs(), st.sampled_from(["none", "own-max", "zero"]), st.sampled_from(["omit", "match"]))
def test_exchanging_prediction_and_label_exchanges_the_result(pair, frame, essential):
    one = betti_matching(pair[0], pair[1], frame=frame, essential=essential)
    other = betti_matching(pair[1], pair[0], frame=frame, essential=essential)
    assert one.loss() == pytest.approx(other.loss(), rel=1e-12)
    assert one.error == other.error
    for a, b in ((one.dim0, other.dim0), (one.dim1, other.dim1)):
        assert sorted(a.matched.tolist()) == sorted(b.matched[:, [2, 3, 0, 1]].tolist())


@settings(max_examples=200)
@given(pairs(), st.sampled_from(["none", "own-max", "zero"]))
def test_superlevel_of_x_is_sublevel_of_minus_x(pair, frame):
    above = betti_matching(*pair, frame=frame)
    below = betti_matching(-pair[0], -pair[1], filtration="sublevel", frame=frame)
    for a, b in ((above.dim0, below.dim0), (above.dim1, below.dim1)):
        assert np.array_equal(a.matched, -b.matched)
        assert pixels(a.unmatched_pred) == pixels(b.unmatched_pred)
        assert pixels(a.unmatched_gt) == pixels(b.unmatched_gt)
    assert above.pred.essential.birth_indices == below.pred.essential.birth_indices


@settings(max_examples=200)
@given(pairs(), st.sampled_from(["none", "own-max", "zero"]))
def test_values_are_those_of_their_pixels(pair, frame):
    result = betti_matching(*pair, frame=frame)
    for image, whole, parts in (
        (
            pair[0],
            result.pred,
            (
                (result.dim0.matched_pred, result.dim0.unmatched_pred),
                (result.dim1.matched_pred, result.dim1.unmatched_pred),
            ),
        ),
        (
            pair[1],
            result.gt,
            ((result.dim0.matched_gt, result.dim0.unmatched_gt), (result.dim1.matched_gt, result.dim1.unmatched_gt)),
        ),
    ):
        same = barcode(image, frame=frame)
        for intervals, alone, (matched, free) in ((whole.dim0, same.dim0, parts[0]), (whole.dim1, same.dim1, parts[1])):
            assert np.array_equal(intervals.values, alone.values)
            assert len(intervals) == len(matched) + len(free)
            assert (intervals.births > intervals.deaths).all()
            for values, places in (
                (intervals.births, intervals.birth_pixels),
                (intervals.deaths, intervals.death_pixels),
            ):
                for value, (r, c) in zip(values, places, strict=True):
                    assert value == (image[r, c] if r >= 0 else 0.0)
                    assert r >= 0 or frame == "zero"


@settings(max_examples=200)
@given(pairs(), st.sampled_from(["none", "own-max"]))
def test_a_frame_equals_padding_by_hand(pair, frame):
    width = 0 if frame == "none" else 1
    padded = [np.pad(image, width, constant_values=image.max()) for image in pair]
    framed, by_hand = betti_matching(*pair, frame=frame), betti_matching(*padded)
    for a, b in ((framed.dim0, by_hand.dim0), (framed.dim1, by_hand.dim1)):
        assert np.array_equal(a.matched, b.matched)
        assert np.array_equal(a.unmatched_pred.values, b.unmatched_pred.values)
        assert np.array_equal(a.unmatched_gt.values, b.unmatched_gt.values)


@settings(max_examples=200)
@given(binary_pairs)
def test_matching_error_is_at_least_the_betti_number_error(pair):
    pred, gt = pair
    result = betti_matching(pred, gt)
    a, b = betti_numbers(pred, connectivity=4), betti_numbers(gt, connectivity=4)
    # The essential class stands for one component of each mask that has any, and is left out of the matching.
    assert result.dim0.error >= abs(max(a.b0 - 1, 0) - max(b.b0 - 1, 0))
    assert result.dim1.error >= abs(a.b1 - b.b1)
    assert len(result.pred.dim0) == max(a.b0 - 1, 0)
    assert len(result.pred.dim1) == a.b1


@pytest.mark.parametrize("seed", range(6))
def test_loss_differences_equal_the_derivatives(seed):
    """Away from ties the matching stays as it is, so the loss's derivative is a sum over births and deaths."""
    random = np.random.default_rng(seed)
    pred, gt = random.permutation(np.linspace(0, 1, 2 * 144)).reshape(2, 12, 12)
    result = betti_matching(pred, gt)
    gradient = np.zeros(144)
    for matching in (result.dim0, result.dim1):
        matched, other, free = matching.matched_pred, matching.matched_gt, matching.unmatched_pred
        np.add.at(gradient, matched.birth_indices, 4 * (matched.births - other.births))
        np.add.at(gradient, matched.death_indices, 4 * (matched.deaths - other.deaths))
        np.add.at(gradient, free.birth_indices, 2 * (free.births - free.deaths))
        np.add.at(gradient, free.death_indices, -2 * (free.births - free.deaths))
    step = 1e-5  # neighbouring values are 3.5e-3 apart
    for cell in range(0, 144, 5):
        up, down = pred.copy(), pred.copy()
        up.flat[cell] += step
        down.flat[cell] -= step
        slope = (betti_matching(up, gt).loss() - betti_matching(down, gt).loss()) / (2 * step)
        assert slope == pytest.approx(gradient[cell], abs=1e-6)
