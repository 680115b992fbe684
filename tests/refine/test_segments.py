"""Vote of segments against a loop over pixels."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from wsss.refine.segments import (
    SegmentVoteConfig,
    Superpixels,
    segment_numbers,
    snap,
    snap_to_regions,
    superpixels,
    with_true_classes,
)

CONFIG = SegmentVoteConfig()
SHAPE = (5, 6)
MASKS = arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 1, 2, 255]))


def loop(mask: NDArray[np.uint8], segments: list[NDArray[np.bool_]], config: SegmentVoteConfig) -> NDArray[np.uint8]:
    """The rule of the authors' code for assigned classes, pixel by pixel."""
    pixels = list(np.ndindex(*mask.shape))
    totals = Counter(int(mask[pixel]) for pixel in pixels)
    chosen = []
    for order, segment in enumerate(segments):
        members = [pixel for pixel in pixels if segment[pixel]]
        shown = Counter(int(mask[pixel]) for pixel in members if mask[pixel] not in (0, 255))
        if not shown:
            continue
        label = max(sorted(shown), key=lambda each: shown[each])
        if shown[label] / len(members) > config.min_share or shown[label] / totals[label] >= config.min_cover:
            chosen.append((len(members), order, label, members))
    result = {pixel: int(mask[pixel]) for pixel in pixels}
    won = {label for _, _, label, _ in chosen}
    covered = {pixel for pixel in pixels if any(segment[pixel] for segment in segments)}
    result = {pixel: 0 if value in won and pixel in covered else value for pixel, value in result.items()}
    for _, _, label, members in sorted(chosen, key=lambda each: (-each[0], each[1])):
        result |= dict.fromkeys(members, label)
    return np.array([result[pixel] for pixel in pixels], np.uint8).reshape(mask.shape)


@settings(max_examples=60, deadline=None)
@given(MASKS, st.lists(arrays(np.bool_, SHAPE), max_size=5))
def test_overlapping_segments_equal_a_loop(mask: NDArray[np.uint8], segments: list[NDArray[np.bool_]]) -> None:
    np.testing.assert_array_equal(snap(mask, segments, CONFIG), loop(mask, segments, CONFIG))


@settings(max_examples=60, deadline=None)
@given(MASKS, arrays(np.uint16, SHAPE, elements=st.sampled_from([0, 1, 2, 7, 60_000])))
def test_numbered_segments_equal_a_loop(mask: NDArray[np.uint8], numbers: NDArray[np.uint16]) -> None:
    segments = [numbers == number for number in np.unique(numbers) if number]
    np.testing.assert_array_equal(snap_to_regions(mask, numbers, CONFIG), loop(mask, segments, CONFIG))


@settings(max_examples=60, deadline=None)
@given(MASKS, MASKS, st.lists(arrays(np.bool_, SHAPE), max_size=5))
def test_true_classes_of_segments_equal_a_loop(
    mask: NDArray[np.uint8], truth: NDArray[np.uint8], segments: list[NDArray[np.bool_]]
) -> None:
    """Every pixel gets the most frequent true class of the pixels with the same smallest segment."""
    owner: dict[tuple[int, ...], int] = {}
    for pixel in np.ndindex(*SHAPE):
        around = [(int(segment.sum()), -order) for order, segment in enumerate(segments) if segment[pixel]]
        owner[pixel] = -min(around)[1] if around else -1
    expected = mask.copy()
    for pixel, order in owner.items():
        shown = Counter(int(truth[other]) for other in owner if owner[other] == order and truth[other] != 255)
        if order >= 0 and shown:
            expected[pixel] = min(shown, key=lambda each: (-shown[each], each))
    np.testing.assert_array_equal(with_true_classes(mask, segment_numbers(segments, SHAPE), truth), expected)


@settings(max_examples=60, deadline=None)
@given(MASKS, MASKS, arrays(np.uint16, SHAPE, elements=st.sampled_from([1, 2, 7, 60_000])))
def test_no_vote_of_a_partition_has_more_true_pixels(
    mask: NDArray[np.uint8], truth: NDArray[np.uint8], numbers: NDArray[np.uint16]
) -> None:
    known = truth != 255
    ceiling = (with_true_classes(mask, numbers, truth) == truth)[known].sum()
    for number in np.unique(numbers):
        for label in (0, 1, 2):
            other = np.where(numbers == number, label, with_true_classes(mask, numbers, truth))
            assert (other == truth)[known].sum() <= ceiling


def test_a_class_without_a_segment_keeps_its_pixels() -> None:
    mask = np.zeros((4, 8), np.uint8)
    mask[0, 0], mask[:, 6:] = 1, 2
    segment = np.zeros(mask.shape, bool)
    segment[:, 5:] = True
    snapped = snap(mask, [segment], CONFIG)
    assert snapped[0, 0] == 1
    np.testing.assert_array_equal(snapped == 2, segment)


def test_pixels_that_no_segment_covers_keep_their_class() -> None:
    """SAM leaves parts of an image without a segment: here the tail of a cat whose body is a segment."""
    mask = np.zeros((6, 12), np.uint8)
    mask[1:5, 1:6], mask[2, 6:9], mask[5, 9:] = 1, 1, 1
    body, floor = np.zeros(mask.shape, bool), np.zeros(mask.shape, bool)
    body[0:5, 0:6], floor[5, :] = True, True
    expected = np.zeros(mask.shape, np.uint8)
    expected[0:5, 0:6], expected[2, 6:9] = 1, 1
    np.testing.assert_array_equal(snap(mask, [body, floor], CONFIG), expected)
    np.testing.assert_array_equal(snap_to_regions(mask, body + 2 * floor.astype(np.uint8), CONFIG), expected)


@pytest.mark.parametrize("method", ["slic", "felzenszwalb"])
def test_superpixels_follow_an_edge(method: Superpixels) -> None:
    image = np.full((60, 80, 3), 40, np.uint8)
    image[:, 33:] = (200, 40, 40)
    numbers = superpixels(image, method, 100)
    assert numbers.shape == (60, 80) and numbers.min() >= 1
    assert not set(np.unique(numbers[:, :32])) & set(np.unique(numbers[:, 34:]))
    coarse = np.zeros((60, 80), np.uint8)
    coarse[:, 38:] = 1
    snapped = snap_to_regions(coarse, numbers, CONFIG)
    assert (snapped[:, 35:] == 1).mean() > 0.95 and (snapped[:, :31] == 0).all()
