from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flipping import flip

from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import read_mask, write_mask
from wsss.io.rasters.png_check import check_pixel_chunks
from wsss.io.rasters.rgb_images import read_image, write_png


@pytest.mark.slow
def test_flipped_bit_of_a_mask_is_harmless_or_detected(tmp_path: Path) -> None:
    """Pillow alone reads one in twenty of these as another mask."""
    generator = np.random.default_rng(0)
    mask = generator.integers(0, 5, (24, 31), dtype=np.uint8)
    path = tmp_path / "m.png"
    write_mask(path, mask)
    for bit in generator.choice(8 * path.stat().st_size, 500, replace=False):
        flip(path, int(bit))
        try:
            result = read_mask(path)
        except InvalidInput:
            pass
        else:
            np.testing.assert_array_equal(result, mask)
        flip(path, int(bit))
    np.testing.assert_array_equal(read_mask(path), mask)


def test_damaged_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    write_png(path, np.random.default_rng(0).integers(0, 255, (20, 20, 3), dtype=np.uint8))
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 40] ^= 1
    path.write_bytes(content)
    with pytest.raises(InvalidInput) as error:
        read_image(path)
    assert error.value.subject == str(path)


def test_other_files_and_trailing_chunks_pass(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no PNG")
    check_pixel_chunks(tmp_path / "a.txt")
    write_mask(tmp_path / "m.png", np.zeros((3, 3), np.uint8))
    with (tmp_path / "m.png").open("ab") as file:
        file.write(b"\0\0\0\1IDATx1234")
    check_pixel_chunks(tmp_path / "m.png")
