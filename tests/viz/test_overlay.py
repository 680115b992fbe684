from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsss.io.rasters.label_masks import IGNORE, voc_palette
from wsss.viz.drawing.overlay import CONTOUR, contact_sheet, mask_layer, overlay
from wsss.viz.drawing.palette import HATCH, magma
from wsss.viz.report.pictures.thumbnails import DETAILS, Detail, heat_uri, indexed_png, mask_uri, photo_uri

PALETTE = voc_palette()[:3]


def square() -> np.ndarray:
    mask = np.zeros((20, 30), np.uint8)
    mask[5:15, 5:15] = 2
    mask[:3, 20:] = IGNORE
    return mask


def opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))


def test_layer_shows_each_kind_of_pixel() -> None:
    layer = mask_layer(square(), PALETTE)
    assert layer[18, 2, 3] == 0
    assert layer[10, 10].tolist() == [*PALETTE[2], 255]
    assert layer[5, 10].tolist() == [*CONTOUR, 255]
    assert {tuple(pixel) for pixel in layer[:3, 20:, :3].reshape(-1, 3).tolist()} == set(HATCH)


def test_overlay_blends_by_opacity_without_the_background() -> None:
    image = np.full((20, 30, 3), 200, np.uint8)
    mixed = overlay(image, square(), PALETTE, opacity=0.25)
    assert mixed[18, 2].tolist() == [200, 200, 200]
    assert mixed[10, 10].tolist() == (200 * 0.75 + PALETTE[2] * 0.25).round().astype(int).tolist()
    assert mixed[5, 10].tolist() == list(CONTOUR)
    plain = overlay(image, square(), PALETTE, opacity=0.25, contours=False)
    assert plain[5, 10].tolist() == mixed[10, 10].tolist()


def test_contact_sheet_has_headings_rows_and_columns(tmp_path: Path) -> None:
    red, blue = np.zeros((30, 60, 3), np.uint8), np.zeros((60, 60, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    path = tmp_path / "sheet.png"
    contact_sheet([[red, blue], [blue, red]], ["image", "a heading far too long for a narrow column"], path, width=60)
    sheet = np.asarray(Image.open(path))
    assert sheet.shape[1] == 8 + 2 * 68
    assert (sheet[..., 0] < 128).sum() > 20  # text was drawn
    assert sheet.shape[0] > 2 * 60
    top = 8 + 12 + 8
    assert sheet[top + 10, 20].tolist() == [255, 0, 0] and sheet[top + 10, 8 + 68 + 10].tolist() == [0, 0, 255]
    first = path.read_bytes()
    contact_sheet([[red, blue], [blue, red]], ["image", "a heading far too long for a narrow column"], path, width=60)
    assert path.read_bytes() == first


def test_contact_sheet_requires_an_image_per_title(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected 2 images"):
        contact_sheet([[np.zeros((2, 2, 3), np.uint8)]], ["a", "b"], tmp_path / "sheet.png")


def test_mask_thumbnail_is_the_layer_itself() -> None:
    picture = opened(mask_uri(square(), PALETTE, DETAILS[0]))
    assert (np.asarray(picture.convert("RGBA")) == mask_layer(square(), PALETTE)).all()


def test_indexed_png_is_lossless_beyond_256_colours() -> None:
    random = np.random.default_rng(0)
    for colours in (7, 256, 300):
        table = random.integers(0, 256, (colours, 4), dtype=np.uint8)
        layer = table[np.arange(900).reshape(30, 30) % colours]
        assert (np.asarray(Image.open(io.BytesIO(indexed_png(layer))).convert("RGBA")) == layer).all()


def test_photographs_are_never_enlarged() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    assert opened(photo_uri(image, Detail(50, 80, 20))).size == (50, 25)
    assert opened(photo_uri(image, Detail(500, 80, 20))).size == (200, 100)


def test_heat_thumbnail_has_the_shape_of_the_photograph() -> None:
    picture = opened(heat_uri(np.array([[0.0, 1.0]]), (100, 200), Detail(50, 80, 20)))
    assert picture.size == (20, 10)
    pixels = np.asarray(picture.convert("RGB"))
    assert pixels[0, 0].tolist() == magma()[2].tolist() and pixels[0, -1].tolist() == magma()[254].tolist()
