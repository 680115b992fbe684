"""Enlargement of labels along the edges of the image."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsss.data.image_transforms.resizing import resize
from wsss.refine import upsample
from wsss.refine.upsample import upsample_labels


def scene(side: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image ``(side, side, 3)`` of two noisy colours and the mask of a wavy region."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side] / side
    wave = 0.28 + 0.06 * np.sin(9 * np.arctan2(rows - 0.5, columns - 0.5) + seed)
    mask = ((rows - 0.5) ** 2 + (columns - 0.5) ** 2 < wave**2).astype(np.uint8)
    colours = np.array([[60, 90, 60], [150, 80, 70]])
    image = colours[mask] + rng.normal(0, 12, (side, side, 3))
    return image.clip(0, 255).astype(np.uint8), mask


def reduced(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.stack(
        [cv2.resize((mask == k).astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA) for k in (0, 1)]
    )


@pytest.mark.parametrize("seed", range(4))
def test_borders_are_more_accurate_than_with_bilinear_enlargement(seed: int) -> None:
    image, mask = scene(600, seed)
    marginals = reduced(mask, (100, 100))
    labels = upsample_labels(image, resize(image, (100, 100)), marginals)
    bilinear = np.stack(
        [cv2.resize(marginal, (600, 600), interpolation=cv2.INTER_LINEAR) for marginal in marginals]
    ).argmax(0)
    assert (labels != mask).sum() < 0.8 * (bilinear != mask).sum()


def test_in_flat_regions_it_is_bilinear_enlargement() -> None:
    rng = np.random.default_rng(0)
    marginals = cv2.resize(rng.random((5, 7, 3), dtype=np.float32), (35, 25)).transpose(2, 0, 1)
    grey = np.full((100, 140, 3), 90, np.uint8)
    labels = upsample_labels(grey, resize(grey, (25, 35)), np.ascontiguousarray(marginals))
    smooth = [cv2.blur(cv2.blur(marginal, (5, 5)), (5, 5)) for marginal in marginals]
    expected = np.stack([cv2.resize(one, (140, 100), interpolation=cv2.INTER_LINEAR) for one in smooth])
    first, second = np.sort(expected, 0)[[-1, -2]]
    clear = first - second > 1e-3
    assert clear.mean() > 0.9
    assert np.array_equal(labels[clear], expected.argmax(0)[clear])


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 12), st.integers(1, 12), st.integers(2, 5))
def test_any_shape(height: int, width: int, small_height: int, small_width: int, count: int) -> None:
    rng = np.random.default_rng(height * 41 + width)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    small = rng.integers(0, 256, (small_height, small_width, 3), dtype=np.uint8)
    marginals = rng.random((count, small_height, small_width), dtype=np.float32)
    labels = upsample_labels(image, small, marginals)
    assert labels.shape == (height, width) and labels.dtype == np.uint8 and labels.max() < count
    certain = np.zeros_like(marginals)
    certain[count - 1] = 1
    assert (upsample_labels(image, small, certain) == count - 1).all()


def test_the_result_does_not_depend_on_the_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    image, mask = scene(150, 1)
    arguments = image, resize(image, (50, 50)), reduced(mask, (50, 50))
    expected = upsample_labels(*arguments)
    monkeypatch.setattr(upsample, "BAND", 7)
    assert np.array_equal(upsample_labels(*arguments), expected)


def test_memory_does_not_grow_with_the_number_of_labels() -> None:
    image = np.zeros((1200, 1600, 3), np.uint8)
    small = np.zeros((75, 100, 3), np.uint8)
    peaks = []
    for count in (2, 12):
        marginals = np.random.default_rng(0).random((count, 75, 100), dtype=np.float32)
        tracemalloc.start()
        upsample_labels(image, small, marginals)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
    assert peaks[1] < 40 * image.shape[0] * image.shape[1]
