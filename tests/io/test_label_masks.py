from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from wsss.errors import InvalidInput
from wsss.io.rasters import label_masks
from wsss.io.rasters.label_masks import load_mask, read_mask, voc_palette, write_mask

# From the VOC development kit's documentation: colours of ids 0 … 5, 15 (person), 20 and 255.
KNOWN = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128), 5: (128, 0, 128)}
KNOWN |= {15: (192, 128, 128), 20: (0, 64, 128), 255: (224, 224, 192)}


def test_palette_of_voc() -> None:
    palette = voc_palette()
    assert palette.shape == (256, 3) and palette.dtype == np.uint8
    for index, colour in KNOWN.items():
        assert tuple(palette[index]) == colour
    assert len({tuple(colour) for colour in palette}) == 256


@settings(max_examples=30)
@given(arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_round_trip_is_deterministic(tmp_path_factory: pytest.TempPathFactory, mask: np.ndarray) -> None:
    folder = tmp_path_factory.mktemp("masks")
    write_mask(folder / "a.png", mask)
    write_mask(folder / "b.png", mask.copy(order="F"))
    assert np.array_equal(read_mask(folder / "a.png", size=mask.shape), mask)
    assert (folder / "a.png").read_bytes() == (folder / "b.png").read_bytes()


def test_files_hold_indices_and_colours(tmp_path: Path) -> None:
    mask = np.array([[0, 15], [20, 255]], np.uint8)
    write_mask(tmp_path / "a.png", mask)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), mask)
        assert np.array_equal(np.asarray(image.convert("RGB")), voc_palette()[mask])


def test_grey_low_bit_and_bilevel_files_are_masks(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 1], [1, 0, 1]], np.uint8)
    Image.fromarray(mask).save(tmp_path / "grey.png")
    Image.fromarray(mask.astype(bool)).save(tmp_path / "bilevel.png")
    palette = Image.fromarray(mask).convert("P")
    palette.putpalette([0, 0, 0, 9, 9, 9])
    palette.save(tmp_path / "low.png", bits=1)
    for name in ("grey", "bilevel", "low"):
        assert np.array_equal(read_mask(tmp_path / f"{name}.png"), mask), name


@settings(max_examples=30)
@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_colours_of_the_voc_palette_become_indices(tmp_path_factory: pytest.TempPathFactory, mask: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("colours") / "a.png"
    colours = voc_palette()[mask]
    for pixels in (colours, np.dstack([colours, np.full(mask.shape, 255, np.uint8)])):
        Image.fromarray(pixels).save(path)
        result, conversion = load_mask(path)
        assert np.array_equal(result, mask) and conversion == "colours of VOC's palette"


def test_grey_in_three_channels_is_a_value_unless_it_is_a_voc_colour(tmp_path: Path) -> None:
    def read(mask: np.ndarray, *, grey: bool = False) -> list[int]:
        Image.fromarray(np.dstack([mask] * 3)).save(tmp_path / "a.png")
        result, conversion = load_mask(tmp_path / "a.png", grey=grey)
        assert conversion is not None
        return result.ravel().tolist()

    assert read(np.array([[0, 1, 255]], np.uint8)) == [0, 1, 255]
    # (128, 128, 128) is VOC's car: a grey value only if the dataset defines its values.
    car = np.array([[0, 128]], np.uint8)
    assert read(car) == [0, 7] and read(car, grey=True) == [0, 128]


def test_other_colours_are_refused(tmp_path: Path) -> None:
    pixels = np.zeros((4, 5, 3), np.uint8)
    pixels[0], pixels[1], pixels[2] = (255, 0, 0), (128, 0, 0), (1, 2, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(InvalidInput) as error:
        read_mask(tmp_path / "a.png")
    assert error.value.found == "(1, 2, 3), (255, 0, 0)" and error.value.hint


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_values_are_read_up_to_255(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.array([[0, 3, 255]], np.uint16)).save(path)
    assert load_mask(path)[0].tolist() == [[0, 3, 255]]
    Image.fromarray(np.array([[0, 3, 65535]], np.uint16)).save(path)
    with pytest.raises(InvalidInput) as error:
        read_mask(path)
    assert error.value.found == "65535"


@pytest.mark.parametrize("suffix", ["tif", "tiff", "bmp", "gif", "PNG"])
def test_other_lossless_formats_are_read(tmp_path: Path, suffix: str) -> None:
    mask = np.array([[0, 255, 0, 255]] * 3, np.uint8)
    Image.fromarray(mask).save(tmp_path / f"a.{suffix}")
    assert np.array_equal(read_mask(tmp_path / f"a.{suffix}"), mask)


def test_gif_is_read_by_its_colours(tmp_path: Path) -> None:
    mask = np.array([[0, 8, 255, 8]], np.uint8)
    write_mask(tmp_path / "a.png", mask)
    with Image.open(tmp_path / "a.png") as image:
        image.save(tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as image:
        assert np.asarray(image).max() < 8  # renumbered
    assert np.array_equal(read_mask(tmp_path / "a.gif"), mask)


def _save_frames(path: Path) -> None:
    frames = [Image.fromarray(np.full((4, 4), value, np.uint8)) for value in (0, 1, 2)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("name", "save", "found"),
    [
        ("a.jpg", lambda path: Image.new("L", (4, 4)).save(path), None),
        ("a.gif", _save_frames, 3),
        ("a.png", lambda path: Image.new("RGBA", (4, 4)).save(path), None),
        ("a.png", lambda path: Image.new("LA", (4, 4)).save(path), None),
        ("a.tif", lambda path: Image.new("F", (4, 4)).save(path), "F"),
        ("a.tif", lambda path: Image.new("CMYK", (4, 4)).save(path), "CMYK"),
    ],
)
def test_other_images_are_refused(tmp_path: Path, name: str, save: Callable[[Path], None], found: object) -> None:
    save(tmp_path / name)
    with pytest.raises(InvalidInput) as error:
        read_mask(tmp_path / name)
    assert error.value.subject == str(tmp_path / name) and error.value.found == found


def test_wrong_size_is_refused(tmp_path: Path) -> None:
    write_mask(tmp_path / "a.png", np.zeros((4, 6), np.uint8))
    with pytest.raises(InvalidInput) as error:
        read_mask(tmp_path / "a.png", size=(6, 4))
    assert (error.value.allowed, error.value.found) == ("4×6", "6×4") and "EXIF" in str(error.value.hint)
    with pytest.raises(InvalidInput) as error:
        read_mask(tmp_path / "a.png", size=(8, 12))
    assert "nearest neighbour" in str(error.value.hint)


def test_only_masks_of_bytes_are_written(tmp_path: Path) -> None:
    for wrong in (np.zeros((2, 2), np.int64), np.zeros((2, 2, 3), np.uint8)):
        with pytest.raises(ValueError, match="expected a mask"):
            write_mask(tmp_path / "a.png", wrong)
    assert not list(tmp_path.iterdir())


@settings(max_examples=30)
@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 20)))
def test_colours_do_not_depend_on_the_block_size(tmp_path_factory: pytest.TempPathFactory, mask: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("colours") / "a.png"
    Image.fromarray(voc_palette()[mask]).save(path)
    for pixels in (1, 7, 1 << 20):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(label_masks, "BLOCK", pixels)
            np.testing.assert_array_equal(read_mask(path), mask)


def test_photograph_as_mask_is_refused_in_little_memory(tmp_path: Path) -> None:
    """Without care, millions of unknown colours take thirty times the memory of the image."""
    pixels = np.random.default_rng(0).integers(0, 256, (2000, 1000, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    del pixels
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInput) as error:
            read_mask(tmp_path / "a.tif")
        assert re.search(r" \d{6,} ", str(error.value.found))  # the number of colours that are not listed
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200 << 20


def test_overviews_of_a_mask_are_no_frames(tmp_path: Path) -> None:
    """Masks of satellite images are usually cloud-optimised GeoTIFFs, which contain smaller copies."""
    rasterio = pytest.importorskip("rasterio")
    values = np.random.default_rng(0).integers(0, 4, (200, 300)).astype(np.uint8)
    path = tmp_path / "a.tif"
    size = {"height": 200, "width": 300, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", tiled=True, blockxsize=16, blockysize=16, **size) as data:
        data.write(values[None])
        data.build_overviews([2, 4])
    with Image.open(path) as image:
        assert image.n_frames == 3
    assert np.array_equal(read_mask(path, size=(200, 300)), values)
    Image.fromarray(values).save(path, save_all=True, append_images=[Image.fromarray(values)])
    with pytest.raises(InvalidInput) as error:
        read_mask(path)
    assert error.value.allowed == "a single frame" and error.value.found == 2


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_classes_in_few_bits(bits: int, tmp_path: Path) -> None:
    """GDAL's NBITS; Pillow returns such values as shades of grey from 0 to 255, where 255 would be ignored."""
    rasterio = pytest.importorskip("rasterio")
    values = np.random.default_rng(0).integers(0, 2**bits, (20, 30)).astype(np.uint8)
    size = {"height": 20, "width": 30, "count": 1, "dtype": "uint8"}
    for compress in ("none", "deflate"):
        path = tmp_path / f"{compress}.tif"
        with rasterio.open(path, "w", driver="GTiff", nbits=bits, compress=compress, **size) as data:
            data.write(values[None])
        assert np.array_equal(read_mask(path), values)
