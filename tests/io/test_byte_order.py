"""TIFFs of ImageJ, Bio-Formats and GDAL in either byte order and any compression give the values that were written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import read_mask
from wsss.io.rasters.pixel_values.reading import Reading
from wsss.io.rasters.rgb_images import image_size, read_image
from wsss.predictor import as_rgb

rasterio = pytest.importorskip("rasterio")

VALUES = np.random.default_rng(0).integers(0, 100, (12, 20))
UNSCALED = Reading((0, 255))


def write(path: Path, values: NDArray[Any], **profile: Any) -> Path:
    """Write ``(H, W)`` as a TIFF of one band."""
    size = {"height": values.shape[0], "width": values.shape[1], "count": 1, "dtype": values.dtype}
    with rasterio.open(path, "w", driver="GTiff", **size, **profile) as data:
        data.write(values[None])
    return path


@pytest.mark.parametrize("order", ["BIG", "LITTLE"])
@pytest.mark.parametrize("compress", ["none", "lzw", "deflate", "packbits", "zstd"])
@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint32", "int32", "float32", "float64"])
def test_images(dtype: str, compress: str, order: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", VALUES.astype(dtype), compress=compress, ENDIANNESS=order)
    pixels = read_image(path, UNSCALED)
    assert np.array_equal(pixels, np.broadcast_to(VALUES[..., None], pixels.shape))


@pytest.mark.parametrize("compress", ["none", "lzw"])
def test_packed_12_bits(compress: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", VALUES.astype(np.uint16), compress=compress, nbits=12, ENDIANNESS="BIG")
    assert np.array_equal(read_image(path, UNSCALED)[..., 0], VALUES) and image_size(path) == VALUES.shape


@pytest.mark.parametrize("compress", ["none", "lzw", "deflate"])
@pytest.mark.parametrize("dtype", ["uint16", "int16", "int32"])
def test_masks(dtype: str, compress: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", (VALUES % 4).astype(dtype), compress=compress, ENDIANNESS="BIG")
    assert np.array_equal(read_mask(path), VALUES % 4)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "int32"])
def test_masks_with_overviews(dtype: str, tmp_path: Path) -> None:
    """Counting the frames of a file with smaller copies makes Pillow read its first one again."""
    path = write(tmp_path / "a.tif", (VALUES % 4).astype(dtype), compress="lzw", ENDIANNESS="BIG")
    with rasterio.open(path, "r+") as data:
        data.build_overviews([2])
    with Image.open(path) as image:
        assert image.n_frames == 2
    assert np.array_equal(read_mask(path), VALUES % 4)


def test_images_that_pillow_may_have_decoded_wrongly_are_refused(tmp_path: Path) -> None:
    """Loaded pixels do not show whether their bytes were swapped."""
    for dtype in ("int16", "int32", "float32"):
        path = write(tmp_path / "a.tif", VALUES.astype(dtype), compress="lzw", ENDIANNESS="BIG")
        with Image.open(path) as image, pytest.raises(InvalidInput) as error:
            as_rgb(image, UNSCALED)
        assert "big-endian" in error.value.problem and error.value.allowed == "a path"
        assert np.array_equal(as_rgb(path, UNSCALED)[..., 0], VALUES)
    for profile in ({"compress": "none", "ENDIANNESS": "BIG"}, {"compress": "lzw"}):
        path = write(tmp_path / "a.tif", VALUES.astype(np.float32), **profile)
        with Image.open(path) as image:
            assert np.array_equal(as_rgb(image, UNSCALED)[..., 0], VALUES)
    path = write(tmp_path / "a.tif", VALUES.astype(np.uint16), compress="lzw", ENDIANNESS="BIG")
    with Image.open(path) as image:
        assert np.array_equal(as_rgb(image, UNSCALED)[..., 0], VALUES)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_compressions_that_pillow_lacks(dtype: str, tmp_path: Path) -> None:
    """LERC is usual for elevation models."""
    try:
        path = write(tmp_path / "a.tif", VALUES.astype(dtype), compress="lerc")
    except rasterio.errors.RasterioError:
        pytest.skip("GDAL without LERC")
    assert np.array_equal(read_image(path, UNSCALED)[..., 0], VALUES) and image_size(path) == VALUES.shape


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_values_are_refused(dtype: str, tmp_path: Path) -> None:
    """Radar images: the real part alone would be noise."""
    path = write(tmp_path / "a.tif", (VALUES * (1 + 2j)).astype(dtype))
    for reading in (UNSCALED, Reading("full"), Reading()):
        with pytest.raises(InvalidInput) as error:
            read_image(path, reading)
        assert error.value.subject == str(path) and error.value.allowed == "real values"
