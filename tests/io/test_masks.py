"""Masks: palette PNG in and out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from wsss.errors import InvalidInput
from wsss.io.masks import read_mask, voc_palette, write_mask

# From the VOC development kit's documentation: colours of ids 0 … 5, 15 (person), 20 and 255.
KNOWN = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128), 5: (128, 0, 128)}
KNOWN |= {15: (192, 128, 128), 20: (0, 64, 128), 255: (224, 224, 192)}


def test_palette_is_that_of_voc() -> None:
    palette = voc_palette()
    assert palette.shape == (256, 3) and palette.dtype == np.uint8
    for index, colour in KNOWN.items():
        assert tuple(palette[index]) == colour
    assert len({tuple(colour) for colour in palette}) == 256


@settings(max_examples=30)
@given(arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_round_trip_keeps_values_and_bytes(tmp_path_factory: pytest.TempPathFactory, mask: np.ndarray) -> None:
    folder = tmp_path_factory.mktemp("masks")
    write_mask(folder / "a.png", mask)
    write_mask(folder / "b.png", mask.copy(order="F"))
    assert np.array_equal(read_mask(folder / "a.png", size=mask.shape), mask)
    assert (folder / "a.png").read_bytes() == (folder / "b.png").read_bytes()


def test_other_programs_see_ids_and_colours(tmp_path: Path) -> None:
    mask = np.array([[0, 15], [20, 255]], np.uint8)
    write_mask(tmp_path / "a.png", mask)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), mask)
        assert np.array_equal(np.asarray(image.convert("RGB")), voc_palette()[mask])


def test_grey_low_bit_and_bilevel_files_are_masks_too(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 1], [1, 0, 1]], np.uint8)
    Image.fromarray(mask).save(tmp_path / "grey.png")
    Image.fromarray(mask.astype(bool)).save(tmp_path / "bilevel.png")
    palette = Image.fromarray(mask).convert("P")
    palette.putpalette([0, 0, 0, 9, 9, 9])
    palette.save(tmp_path / "low.png", bits=1)
    for name in ("grey", "bilevel", "low"):
        assert np.array_equal(read_mask(tmp_path / f"{name}.png"), mask), name


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "I;16", "LA"])
def test_a_mask_of_colours_is_refused(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(InvalidInput) as found:
        read_mask(tmp_path / "a.png")
    assert "a.png: a mask is an 8-bit palette or grey image" in str(found.value)
    assert "pixel values are class ids" in str(found.value)


def test_another_size_is_refused(tmp_path: Path) -> None:
    write_mask(tmp_path / "a.png", np.zeros((4, 6), np.uint8))
    with pytest.raises(InvalidInput, match=r"6×4 \(width×height\), its image 4×6"):
        read_mask(tmp_path / "a.png", size=(6, 4))


def test_only_planes_of_bytes_are_written(tmp_path: Path) -> None:
    for wrong in (np.zeros((2, 2), np.int64), np.zeros((2, 2, 3), np.uint8)):
        with pytest.raises(ValueError, match="a mask is"):
            write_mask(tmp_path / "a.png", wrong)
    assert not list(tmp_path.iterdir())
