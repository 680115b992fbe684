"""Run-length encodings against independent decoders: pycocotools, and a test decoder of brush masks."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from readers import brush_layer

from wsss.io.rasters.rle import Region, brush_mask, brush_rle, coco_counts, coco_rle, from_runs, runs

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12))


@given(arrays(bool, st.integers(1, 40)))
def test_runs(values: np.ndarray) -> None:
    lengths = runs(values)
    assert np.array_equal(np.repeat(np.arange(len(lengths)) % 2 == 1, lengths), values)
    assert (lengths[1:] > 0).all()


@given(masks)
@example(np.zeros((1, 1), bool))
@example(np.ones((1, 1), bool))
def test_coco_rle_equals_pycocotools(mask: np.ndarray) -> None:
    tool = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    found = coco_rle(mask)
    own = tool.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert found["size"] == own["size"] and found["counts"] == own["counts"].decode()
    assert np.array_equal(tool.decode(found).astype(bool), mask)


def test_long_and_short_runs_of_coco() -> None:
    tool = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    mask = np.zeros((700, 900), bool)
    mask[3:600, 17] = mask[:, 500:] = True
    mask[::2, 800:] = False
    assert coco_rle(mask)["counts"] == tool.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()


@given(masks)
@example(np.zeros((1, 1), bool))
@example(np.ones((1, 1), bool))
def test_brush_round_trip(mask: np.ndarray) -> None:
    layer = brush_layer(brush_rle(mask), mask.shape[1], mask.shape[0])
    assert np.array_equal(layer, np.repeat(mask[..., None] * np.uint8(255), 4, axis=2))


@pytest.mark.parametrize("pixels", [2, 4, 5, 64, 65, 16384, 16385, 40000])
def test_brush_runs_at_the_limits_of_their_lengths(pixels: int) -> None:
    """With four values per pixel, runs of 8, 16, 256 and 65536 values are the longest of their size."""
    mask = np.zeros((1, pixels + 3), bool)
    mask[0, 2 : 2 + pixels] = True
    assert np.array_equal(brush_layer(brush_rle(mask), pixels + 3, 1)[..., 3] > 0, mask)


def test_brush_stream_written_by_hand() -> None:
    """Two pixels, the second inside: 8 values of 8 bits, lengths of 3, 4, 8 and 16 bits, 4 × 0 and 4 × 255."""
    bits = (
        f"{8:032b}"
        + f"{7:05b}"
        + f"{2:04b}{3:04b}{7:04b}{15:04b}"
        + f"1{0:02b}{3:03b}{0:08b}"
        + f"1{0:02b}{3:03b}{255:08b}"
    )
    bits += "0" * (-len(bits) % 8)
    assert brush_rle(np.array([[False, True]])) == [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def test_too_large_brush_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="too many for a brush mask"):
        brush_rle(np.broadcast_to(np.zeros((1, 1), bool), (2**15, 2**15)))


@given(masks, st.sampled_from(["C", "F"]))
@example(np.zeros((1, 1), bool), "F")
def test_runs_are_decoded(mask: np.ndarray, order: Literal["C", "F"]) -> None:
    size = (mask.shape[0], mask.shape[1])
    assert np.array_equal(from_runs(runs(mask.ravel(order=order)), size, order=order), mask)


@given(masks)
def test_compressed_runs_of_pycocotools_are_decoded(mask: np.ndarray) -> None:
    tool = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    text = tool.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert np.array_equal(from_runs(coco_counts(text), (mask.shape[0], mask.shape[1]), order="F"), mask)


@given(masks)
def test_brushes_are_decoded(mask: np.ndarray) -> None:
    assert np.array_equal(brush_mask(brush_rle(mask), (mask.shape[0], mask.shape[1])), mask)


def test_long_chains_of_digits_are_errors() -> None:
    with pytest.raises(ValueError, match="large"):
        coco_counts("o" * 10_000_000 + "0")


@given(masks, st.tuples(*[st.integers(0, 3)] * 4), st.sampled_from(["C", "F"]))
@example(np.ones((2, 2), bool), (0, 0, 1, 1), "C")
@example(np.ones((2, 2), bool), (0, 0, 0, 1), "C")
@example(np.ones((2, 2), bool), (1, 0, 0, 0), "F")
@example(np.zeros((1, 1), bool), (1, 1, 1, 1), "F")
def test_runs_of_a_region_are_those_of_the_whole_mask(
    window: np.ndarray, margins: tuple[int, int, int, int], order: Literal["C", "F"]
) -> None:
    top, bottom, left, right = margins
    mask = np.pad(window, ((top, bottom), (left, right)))
    region = Region(window, top, left, (mask.shape[0], mask.shape[1]))
    assert region.runs(order).tolist() == runs(mask.ravel(order=order)).tolist()
    assert coco_rle(region) == coco_rle(mask) and brush_rle(region) == brush_rle(mask)
    assert region.pixels == mask.sum() and np.shares_memory(region.view(mask), mask)
    assert np.array_equal(region.view(mask), window)
    if window.any():
        rows, columns = np.nonzero(mask)
        x, y, width, height = region.box
        assert (y, y + height - 1, x, x + width - 1) == (rows.min(), rows.max(), columns.min(), columns.max())
