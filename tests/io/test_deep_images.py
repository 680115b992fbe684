"""Images with more than 8 bits, several pages or bands: refused without a setting, and converted exactly with one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from orientations import stored
from PIL import Image

from wsss.errors import InvalidInput
from wsss.io.rasters.pixel_values.reading import PLAIN, Reading
from wsss.io.rasters.rgb_images import image_size, pixels_in, read_image

rasterio = pytest.importorskip("rasterio")

RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 12, 20
DEEP = RNG.integers(0, 65536, (HEIGHT, WIDTH, 3)).astype(np.uint16)
FULL = Reading("full")


def write_tiff(path: Path, values: np.ndarray, **profile: Any) -> Path:
    """Write ``(H, W, C)`` as a TIFF."""
    height, width, count = values.shape
    size = {"height": height, "width": width, "count": count}
    with rasterio.open(path, "w", driver="GTiff", dtype=values.dtype, **size, **profile) as data:
        data.write(np.moveaxis(values, 2, 0))
    return path


def scaled(value: float, low: float, high: float) -> int:
    """The definition, one value at a time."""
    return max(0, min(255, math.floor((value - low) / (high - low) * 255 + 0.5)))


def expected(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.array([scaled(float(value), low, high) for value in values.ravel()], np.uint8).reshape(values.shape)


def refusal(path: Path, reading: Reading = PLAIN) -> InvalidInput:
    with pytest.raises(InvalidInput) as error:
        read_image(path, reading)
    assert str(path) == error.value.subject
    return error.value


PROFILES: list[dict[str, Any]] = [
    {},
    {"compress": "lzw", "predictor": 2},
    {"compress": "deflate", "tiled": True, "blockxsize": 16, "blockysize": 16},
    {"interleave": "band"},
    {"BIGTIFF": "YES"},
    {"photometric": "RGB", "ENDIANNESS": "BIG"},
]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: "-".join(profile) or "plain")
@pytest.mark.parametrize("bands", [1, 3])
def test_16_bit_tiff(bands: int, profile: dict[str, Any], tmp_path: Path) -> None:
    if bands == 1:
        profile = {key: value for key, value in profile.items() if key != "photometric"}
    path = write_tiff(tmp_path / "ä b:1.tif", DEEP[..., :bands], **profile)
    error = refusal(path)
    assert "16-bit" in error.problem and "data.scaling" in str(error.hint) and "full" in str(error.hint)
    low, high = DEEP[..., :bands].min(), DEEP[..., :bands].max()
    assert error.found == f"values {low:g} … {high:g}"
    full = read_image(path, FULL)
    assert np.array_equal(full, np.broadcast_to(expected(DEEP[..., :bands], 0, 65535), full.shape))
    assert np.array_equal(full, np.broadcast_to((DEEP[..., :bands].astype(int) + 128) // 257, full.shape))
    stated = read_image(path, Reading((1000, 40000.5)))
    assert np.array_equal(stated, np.broadcast_to(expected(DEEP[..., :bands], 1000, 40000.5), stated.shape))
    assert full.shape == (HEIGHT, WIDTH, 3) and full.dtype == np.uint8
    assert image_size(path) == (HEIGHT, WIDTH) and pixels_in(path) == HEIGHT * WIDTH


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_16_bit_png(bands: int, tmp_path: Path) -> None:
    import cv2

    path = tmp_path / "a.png"
    colours = DEEP[..., : 1 if bands < 3 else 3]
    alpha = np.full((HEIGHT, WIDTH, 1), 65535, np.uint16)
    alpha[0] = 0
    if bands == 1:
        Image.fromarray(colours[..., 0]).save(path)
    elif bands == 2:
        write_grey_alpha(path, np.concatenate([colours, alpha], axis=2))
    else:
        values = colours if bands == 3 else np.concatenate([colours, alpha], axis=2)
        assert cv2.imwrite(str(path), values[..., [2, 1, 0, 3][:bands]])
    assert refusal(path).problem.startswith("16-bit pixels")
    wanted = np.broadcast_to(expected(colours, 0, 65535), (HEIGHT, WIDTH, 3)).copy()
    if bands in (2, 4):
        wanted[0] = 255  # transparent
    assert np.array_equal(read_image(path, FULL), wanted)
    assert image_size(path) == (HEIGHT, WIDTH)


def write_grey_alpha(path: Path, values: np.ndarray) -> None:
    """Write ``(H, W, 2)`` uint16 as a PNG, which none of the libraries here does."""
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, 4, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


@pytest.mark.parametrize("kind", ["int16", "int32", "uint32", "float32", "float64"])
@pytest.mark.parametrize("bands", [1, 3])
def test_other_numbers_need_a_range(kind: str, bands: int, tmp_path: Path) -> None:
    values = (RNG.random((HEIGHT, WIDTH, bands)) * 200 - (0 if kind[0] == "u" else 100)).astype(kind)
    path = write_tiff(tmp_path / "a.tif", values)
    for reading in (PLAIN, FULL):
        error = refusal(path, reading)
        assert "full" not in str(error.hint) and "data.scaling" in str(error.hint)
    pixels = read_image(path, Reading((-50, 50)))
    assert np.array_equal(pixels, np.broadcast_to(expected(values, -50, 50), pixels.shape))


def test_nan_and_infinity(tmp_path: Path) -> None:
    values = np.array([[0.25, np.nan, np.inf, -np.inf]], np.float32)[..., None]
    path = write_tiff(tmp_path / "a.tif", values)
    assert refusal(path).found == "values 0.25 … 0.25"
    assert read_image(path, Reading((0, 1)))[0, :, 0].tolist() == [64, 0, 255, 0]


def test_8_bit_images_are_not_scaled(tmp_path: Path) -> None:
    pixels = (DEEP >> 8).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    write_tiff(tmp_path / "a.tif", pixels)
    for name in ("a.png", "a.tif"):
        assert np.array_equal(read_image(tmp_path / name, Reading((0, 10))), pixels)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_bands(kind: str, interleave: str, tmp_path: Path) -> None:
    values = RNG.integers(0, 256, (HEIGHT, WIDTH, 6)).astype(kind)
    path = write_tiff(tmp_path / "a.tif", values, interleave=interleave, photometric="MINISBLACK", compress="lzw")
    error = refusal(path, Reading((0, 255)))
    assert error.found == "6 bands" and "data.bands" in str(error.hint)
    assert np.array_equal(read_image(path, Reading((0, 255), bands=(5, 6, 2))), values[..., [4, 5, 1]])
    grey = read_image(path, Reading((0, 255), bands=(4,)))
    assert np.array_equal(grey, np.repeat(values[..., 3:4], 3, axis=2))
    error = refusal(path, Reading((0, 255), bands=(1, 2, 7)))
    assert error.found == [1, 2, 7] and error.allowed == "data.bands (wsss predict: --bands) from 1 to 6"
    assert image_size(path) == (HEIGHT, WIDTH)


def test_a_fourth_band_is_alpha_only_if_the_file_says_so(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (HEIGHT, WIDTH, 4)).astype(np.uint8)
    pixels[..., 3] = 255
    pixels[0, :, 3] = 0
    alpha = write_tiff(tmp_path / "alpha.tif", pixels, photometric="RGB", alpha="YES")
    read = read_image(alpha)
    assert (read[0] == 255).all() and np.array_equal(read[1:], pixels[1:, :, :3])
    near_infrared = write_tiff(tmp_path / "nir.tif", pixels, photometric="RGB", alpha="NO")
    assert refusal(near_infrared).found == "4 bands"
    for path in (alpha, near_infrared):
        assert np.array_equal(read_image(path, Reading(bands=(4, 1, 2))), pixels[..., [3, 0, 1]])


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_premultiplied_alpha(kind: str, tmp_path: Path) -> None:
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[kind]
    opacity = np.array([[0, 0.25, 0.46, 1]])[..., None]
    colours = np.array([1, 0.5, 0])
    values = np.concatenate([colours * opacity, opacity], axis=2) * white
    values = (values if kind == "float32" else np.rint(values)).astype(kind)
    path = write_tiff(tmp_path / "a.tif", values, photometric="RGB", alpha="PREMULTIPLIED")
    wanted = (colours * opacity + 1 - opacity) * 255  # composition of the original colours
    assert np.abs(read_image(path, Reading((0, white))).astype(float) - wanted).max() <= 1.5
    if kind != "uint8":
        error = refusal(path, Reading((1 if kind == "uint16" else 0.1, white)))
        assert "associated alpha" in error.problem and "data.bands" in str(error.hint)
    straight = values.copy()
    straight[..., :3] = (colours * white).astype(kind)
    path = write_tiff(tmp_path / "b.tif", straight, photometric="RGB", alpha="NON-PREMULTIPLIED")
    assert np.abs(read_image(path, Reading((0, white))).astype(float) - wanted).max() <= 1.5


def test_range_of_alpha(tmp_path: Path) -> None:
    colours = np.array([[[100, 200, 50], [100, 200, 50]]])
    for kind, opaque in (("float32", 1), ("int16", 32767), ("uint32", 2**32 - 1)):
        values = np.concatenate([colours, np.array([[[0], [opaque]]])], axis=2).astype(kind)
        path = write_tiff(tmp_path / "a.tif", values, photometric="RGB", alpha="YES")
        if kind == "float32":
            assert read_image(path, Reading((0, 255))).tolist() == [[[255, 255, 255], [100, 200, 50]]]
            continue
        error = refusal(path, Reading((0, 255)))
        assert error.problem.startswith("alpha (band 4)") and error.found == f"values 0 … {opaque:g}"
        assert "data.bands" in str(error.hint) and "[1, 2, 3]" in str(error.hint)
        assert np.array_equal(read_image(path, Reading((0, 255), bands=(1, 2, 3))), colours)


def test_the_hint_states_the_full_range_of_the_file(tmp_path: Path) -> None:
    for bits in (12, 16):
        path = write_tiff(tmp_path / "a.tif", DEEP[..., :1] >> (16 - bits), **({"nbits": 12} if bits == 12 else {}))
        assert f"full (0, {2**bits - 1})" in str(refusal(path).hint)
        assert np.array_equal(read_image(path, FULL)[..., :1], expected(DEEP[..., :1] >> (16 - bits), 0, 2**bits - 1))


def test_bands_of_other_formats(tmp_path: Path) -> None:
    pixels = (DEEP >> 8).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png", Reading(bands=(3, 2, 1))), pixels[..., ::-1])
    assert np.array_equal(read_image(tmp_path / "a.png", Reading(bands=(2,)))[..., 0], pixels[..., 1])
    assert refusal(tmp_path / "a.png", Reading(bands=(4,))).allowed == "data.bands (wsss predict: --bands) from 1 to 3"


@pytest.mark.parametrize("mode", ["1", "P", "L", "CMYK"])
def test_bands_of_tiffs_that_pillow_converts(mode: str, tmp_path: Path) -> None:
    picture = Image.fromarray((DEEP >> 8).astype(np.uint8))
    path = tmp_path / "a.tif"
    (picture.quantize(16) if mode == "P" else picture.convert(mode)).save(path)
    colours = read_image(path)
    assert len(np.unique(colours)) == 2 if mode == "1" else colours.max() > 100
    assert np.array_equal(read_image(path, Reading(bands=(3, 2, 1))), colours[..., ::-1])
    assert np.array_equal(read_image(path, Reading(bands=(2,))), np.repeat(colours[..., 1:2], 3, axis=2))
    assert refusal(path, Reading(bands=(4,))).allowed == "data.bands (wsss predict: --bands) from 1 to 3"


@pytest.mark.parametrize("white_is_zero", [False, True])
def test_bands_of_white_is_zero(white_is_zero: bool, tmp_path: Path) -> None:
    grey = (DEEP[..., :1] >> 8).astype(np.uint8)
    path = write_tiff(tmp_path / "a.tif", grey, photometric="MINISWHITE" if white_is_zero else "MINISBLACK")
    pixels = read_image(path, Reading(bands=(1,)))[..., 0]
    assert np.array_equal(pixels, 255 - grey[..., 0] if white_is_zero else grey[..., 0])


@pytest.mark.parametrize("bits", [1, 4, 7])
def test_bands_below_8_bits(bits: int, tmp_path: Path) -> None:
    values = RNG.integers(0, 2**bits, (HEIGHT, WIDTH, 5)).astype(np.uint8)
    path = write_tiff(tmp_path / "a.tif", values, nbits=bits, photometric="MINISBLACK")
    pixels = read_image(path, Reading(bands=(5, 1, 2)))
    assert np.array_equal(pixels, expected(values[..., [4, 0, 1]], 0, 2**bits - 1))
    grey = write_tiff(tmp_path / "b.tif", values[..., :1], nbits=bits)
    if bits < 7:
        assert np.array_equal(read_image(grey, Reading(bands=(1,))), read_image(grey))
        assert np.array_equal(read_image(grey)[..., :1], expected(values[..., :1], 0, 2**bits - 1))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_pages(kind: type, tmp_path: Path) -> None:
    pages = [np.full((4 + n, 6), 20 * n, kind) for n in range(3)]
    first, *others = map(Image.fromarray, pages)
    path = tmp_path / "a.tif"
    first.save(path, save_all=True, append_images=others, compression="tiff_lzw")
    for read in (read_image, image_size):
        with pytest.raises(InvalidInput) as error:
            read(path)
        assert error.value.found == "3 pages" and "data.page" in str(error.value.hint)
    for number, page in enumerate(pages, start=1):
        reading = Reading((0, 255), number)
        assert image_size(path, reading) == page.shape
        assert np.array_equal(read_image(path, reading)[..., 0], page)
    error = refusal(path, Reading(page=4))
    assert (error.found, error.allowed) == (4, "data.page (wsss predict: --page) from 1 to 3")
    first.save(tmp_path / "b.tif")
    error = refusal(tmp_path / "b.tif", Reading((0, 255), page=2))
    assert error.allowed == "data.page (wsss predict: --page) from 1 to 1"
    for file in ("c.png", "c.bmp"):  # no pages: the setting is for the TIFF files beside them
        Image.fromarray(pages[1] if file == "c.png" else pages[1].astype(np.uint8)).save(tmp_path / file)
        assert image_size(tmp_path / file, Reading((0, 255), page=2)) == pages[1].shape
        assert (read_image(tmp_path / file, Reading((0, 255), page=2)) == 20).all()


def test_big_endian_bigtiff_is_refused_by_name(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", DEEP[..., :1], BIGTIFF="YES", ENDIANNESS="BIG")
    for error in (refusal(path, FULL), refusal(path)):
        assert "big-endian BigTIFF" in error.problem and "ENDIANNESS=LITTLE" in str(error.hint)
    assert pixels_in(path) == 0


def test_a_page_of_several_bands(tmp_path: Path) -> None:
    from rasterio.shutil import copy

    path = tmp_path / "a.tif"
    pages = [RNG.integers(0, 65536, (8, 10, 5)).astype(np.uint16) for _ in range(2)]
    write_tiff(path, pages[0])
    write_tiff(tmp_path / "b.tif", pages[1])
    copy(str(tmp_path / "b.tif"), str(path), driver="GTiff", APPEND_SUBDATASET="YES")
    assert refusal(path).found == "2 pages"
    read = read_image(path, Reading("full", 2, (5, 1, 3)))
    assert np.array_equal(read, expected(pages[1][..., [4, 0, 2]], 0, 65535))


def test_overviews_are_not_pages(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", np.tile(DEEP, (4, 4, 1)), tiled=True, blockxsize=16, blockysize=16)
    with rasterio.open(path, "r+") as data:
        data.build_overviews([2, 4])
    with rasterio.open(path) as data:
        assert data.overviews(1) == [2, 4]
    assert image_size(path) == (4 * HEIGHT, 4 * WIDTH)
    assert np.array_equal(read_image(path, FULL), expected(np.tile(DEEP, (4, 4, 1)), 0, 65535))


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("bands", [1, 3])
def test_orientation(turn: int, bands: int, tmp_path: Path) -> None:
    upright = DEEP[..., :bands]
    path = write_tiff(tmp_path / "a.tif", stored(upright, turn))
    set_short(path, 274, turn)
    assert image_size(path) == (HEIGHT, WIDTH)
    pixels = read_image(path, FULL)
    assert np.array_equal(pixels, np.broadcast_to(expected(upright, 0, 65535), pixels.shape))
    if bands == 1:
        exif = Image.Exif()
        exif[0x0112] = turn
        Image.fromarray(stored(upright[..., 0], turn)).save(tmp_path / "a.png", exif=exif)
        assert np.array_equal(read_image(tmp_path / "a.png", FULL), pixels)
        assert image_size(tmp_path / "a.png") == (HEIGHT, WIDTH)


def set_short(path: Path, tag: int, value: int) -> None:
    """Add a tag to the directory of a TIFF, which moves to the end of the file."""
    import struct

    content = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    entries = [bytes(content[start + 2 + 12 * n : start + 14 + 12 * n]) for n in range(count)]
    entries.append(struct.pack("<HHIHH", tag, 3, 1, value, 0))
    entries.sort(key=lambda entry: struct.unpack_from("<H", entry)[0])
    struct.pack_into("<I", content, 4, len(content))
    content += struct.pack("<H", count + 1) + b"".join(entries) + b"\0\0\0\0"
    path.write_bytes(content)


def test_white_is_zero(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", DEEP[..., :1], photometric="MINISWHITE")
    assert np.array_equal(read_image(path, FULL)[..., 0], 255 - expected(DEEP[..., 0], 0, 65535))


def test_without_rasterio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wsss.io.rasters.pixel_values import stored_pixels

    monkeypatch.setattr(stored_pixels, "find_spec", lambda name: None)
    path = write_tiff(tmp_path / "a.tif", DEEP)
    error = refusal(path, FULL)
    assert "extra geo" in error.problem and "wsss[geo]" in str(error.hint)
    assert read_image(write_tiff(tmp_path / "b.tif", DEEP[..., :1]), FULL).shape == (HEIGHT, WIDTH, 3)


def test_rasterio_without_its_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its wheels require libexpat, which slim images of containers lack."""
    from wsss.io.rasters.pixel_values import stored_pixels

    def fail() -> Any:
        raise ImportError("libexpat.so.1: cannot open shared object file")

    path = write_tiff(tmp_path / "a.tif", DEEP)
    monkeypatch.setattr(stored_pixels, "_rasterio", fail)
    error = refusal(path, FULL)
    assert "libexpat.so.1" in error.problem and "apt-get install libexpat1" in str(error.hint)


def test_damaged_files_raise_no_other_error(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", DEEP, compress="lzw")
    content = path.read_bytes()
    refused = 0
    for position in range(0, len(content), 7):
        broken = bytearray(content)
        broken[position] ^= 0xFF
        path.write_bytes(broken if position % 2 else content[:position])
        try:
            assert read_image(path, FULL).ndim == 3
        except InvalidInput as error:
            assert error.subject == str(path)
            refused += 1
    assert refused > 20


def test_reading_as_json() -> None:
    for reading in (PLAIN, FULL, Reading((0.0, 4095.0), 2, (3, 2, 1))):
        assert Reading.from_json(reading.to_json()) == reading
    for value in ({"scale": 1}, {"scaling": "max"}, {"scaling": [5, 1]}, {"bands": [1, 2]}, {"bands": [0, 1, 2]}):
        with pytest.raises(ValueError):
            Reading.from_json(value)
