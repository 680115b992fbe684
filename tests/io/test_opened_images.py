"""Images opened with Pillow are converted like their files: bands, pages and depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsss.errors import InvalidInput
from wsss.io.rasters.pixel_values.reading import Reading
from wsss.io.rasters.rgb_images import read_image
from wsss.predictor import as_rgb

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (4, 5, 4)).astype(np.uint8)
DEEP = RNG.integers(0, 4096, (4, 5)).astype(np.uint16)


def refusal(image: Image.Image, reading: Reading) -> InvalidInput:
    with pytest.raises(InvalidInput) as error:
        as_rgb(image, reading)
    assert error.value.subject == "image"
    return error.value


@pytest.mark.parametrize("bands", [(3, 2, 1), (2,), (1, 1, 3)])
@pytest.mark.parametrize(("suffix", "mode"), [("tif", "RGB"), ("png", "RGB"), ("tif", "RGBA"), ("png", "RGBA")])
def test_bands(bands: tuple[int, ...], suffix: str, mode: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PIXELS[..., : len(mode)]).save(path)
    reading = Reading(bands=bands)
    with Image.open(path) as image:
        pixels = as_rgb(image, reading)
        assert np.array_equal(pixels, read_image(path, reading))
        if mode == "RGB" or suffix == "tif":
            wanted = PIXELS[..., [band - 1 for band in bands]]
            assert np.array_equal(pixels, np.broadcast_to(wanted, pixels.shape))
        if mode == "RGBA" and suffix == "tif":
            assert np.array_equal(as_rgb(image, Reading(bands=(4,)))[..., 1], PIXELS[..., 3])
            assert refusal(image, Reading(bands=(5,))).allowed == "data.bands (wsss predict: --bands) from 1 to 4"
        else:
            assert refusal(image, Reading(bands=(4,))).allowed == "data.bands (wsss predict: --bands) from 1 to 3"
    assert (
        refusal(Image.fromarray(DEEP), Reading("full", bands=(2,))).allowed
        == "data.bands (wsss predict: --bands) from 1 to 1"
    )


def test_pages(tmp_path: Path) -> None:
    pages = [np.full((3, 4), 40 * n, np.uint8) for n in range(3)]
    first, *others = map(Image.fromarray, pages)
    first.save(tmp_path / "a.tif", save_all=True, append_images=others)
    with Image.open(tmp_path / "a.tif") as image:
        for _ in range(2):
            assert (as_rgb(image, Reading(page=3)) == 80).all() and image.tell() == 0
        assert refusal(image, Reading(page=4)).allowed == "data.page from 1 to 3"
        image.seek(1)
        assert (as_rgb(image, Reading(page=2)) == 40).all() and image.tell() == 1
        assert "seek(2)" in str(refusal(image, Reading(page=3)).hint) and image.tell() == 1
        assert (as_rgb(image.copy(), Reading(page=3)) == 40).all()
    first.save(tmp_path / "b.tif")
    with Image.open(tmp_path / "b.tif") as image:
        assert refusal(image, Reading(page=2)).allowed == "data.page from 1 to 1"
    first.save(tmp_path / "a.gif", save_all=True, append_images=others)
    with Image.open(tmp_path / "a.gif") as image:
        assert refusal(image, Reading(page=2)).found == "3 frames"


def test_depth_of_tiffs(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    path = tmp_path / "a.tif"
    size = {"driver": "GTiff", "height": 4, "width": 5}
    for profile in ({"photometric": "MINISWHITE"}, {"nbits": 12}, {"dtype": "int16"}, {"dtype": "uint32"}):
        with rasterio.open(path, "w", count=1, **{"dtype": "uint16", **size, **profile}) as data:
            data.write(DEEP[None].astype(data.dtypes[0]))
        for reading in (Reading((0, 4095)), Reading((0, 4095), bands=(1,))):
            with Image.open(path) as image:
                assert np.array_equal(as_rgb(image, reading), read_image(path, reading)), profile
        if profile.keys() <= {"photometric", "nbits"}:
            with Image.open(path) as image:
                assert np.array_equal(as_rgb(image, Reading("full")), read_image(path, Reading("full")))
    with rasterio.open(path, "w", count=3, dtype="uint16", photometric="RGB", **size) as data:
        data.write(np.stack([DEEP] * 3))
    with Image.open(path) as image:
        assert "16-bit" in refusal(image, Reading((0, 4095))).problem
