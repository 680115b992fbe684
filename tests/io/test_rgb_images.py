"""Reading of images: modes, orientation, and broken files."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from orientations import stored
from PIL import Image, ImageFile

from wsss.errors import InvalidInput
from wsss.io.rasters.rgb_images import MAX_PIXELS, image_size, read_image, write_png

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (24, 36, 3), dtype=np.uint8)


def png_header(width: int, height: int) -> bytes:
    """Return a PNG with a large declared size and almost no content: a decompression bomb."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


def test_png_round_trip(tmp_path: Path) -> None:
    write_png(tmp_path / "deep" / "a.png", PHOTO)
    assert np.array_equal(read_image(tmp_path / "deep" / "a.png"), PHOTO)
    write_png(tmp_path / "grey.png", PHOTO[..., 0])
    assert np.array_equal(read_image(tmp_path / "grey.png"), np.repeat(PHOTO[..., :1], 3, axis=2))


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_exif_orientation_is_applied(tmp_path: Path, turn: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    path = tmp_path / f"turned.{suffix}"
    for pixels, upright in ((PHOTO, PHOTO), (PHOTO[..., 0], np.repeat(PHOTO[..., :1], 3, axis=2))):
        Image.fromarray(stored(pixels, turn)).save(path, exif=exif)
        assert np.array_equal(read_image(path), upright)
        assert image_size(path) == (24, 36)


def test_size_of_a_rotated_jpeg_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PHOTO).save(tmp_path / "a.jpg", exif=exif)
    assert image_size(tmp_path / "a.jpg") == (36, 24)
    assert read_image(tmp_path / "a.jpg").shape == (36, 24, 3)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12", b"x"])
def test_broken_exif_is_ignored(tmp_path: Path, exif: bytes) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape == (24, 36, 3)
    assert image_size(tmp_path / "a.jpg") == (24, 36)


def test_cmyk_is_converted(tmp_path: Path) -> None:
    ink = np.zeros((8, 8, 4), np.uint8)
    ink[..., 0] = 255  # all cyan
    Image.fromarray(ink, mode="CMYK").save(tmp_path / "a.jpg", quality=100)
    red, green, blue = read_image(tmp_path / "a.jpg").reshape(-1, 3).mean(0)
    assert red < 10 and green > 245 and blue > 245


def test_transparency_is_composed_onto_white(tmp_path: Path) -> None:
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0] = (10, 20, 30, 255)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image[0, 0].tolist() == [10, 20, 30]
    assert image[1, 1].tolist() == [255, 255, 255]


def test_palette_and_bilevel_images_become_rgb(tmp_path: Path) -> None:
    Image.fromarray(PHOTO).quantize(16).save(tmp_path / "p.png")
    assert read_image(tmp_path / "p.png").shape == (24, 36, 3)
    Image.fromarray(PHOTO[..., 0] > 127).save(tmp_path / "b.png")
    assert set(np.unique(read_image(tmp_path / "b.png"))) == {0, 255}


def test_broken_files_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(PHOTO).save(buffer, "JPEG")
    jpeg = buffer.getvalue()
    files: dict[str, tuple[bytes | None, str]] = {
        "empty.jpg": (b"", "empty"),
        "text.jpg": (b"this is text", "not an image"),
        "truncated.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "header.jpg": (jpeg[:3], "begins like JPEG"),
        "bomb.png": (png_header(40_000, 40_000), "too large"),
        "large.png": (png_header(11_314, 11_314), "too large"),
        "missing.png": (None, "no such file"),
        "folder": (None, "cannot be read"),
        "f.tiff": (None, "floating-point"),
    }
    (tmp_path / "folder").mkdir()
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "f.tiff")
    for name, (content, problem) in files.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InvalidInput) as error:
            read_image(path)
        assert error.value.subject == str(path) and problem in error.value.problem, name


def test_truncation_of_a_png_is_detected(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", PHOTO)
    content = (tmp_path / "a.png").read_bytes()
    for length in range(0, len(content) - 20, max(1, len(content) // 23)):  # the last 20 bytes contain no pixels
        (tmp_path / "b.png").write_bytes(content[:length])
        with pytest.raises(InvalidInput):
            read_image(tmp_path / "b.png")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, on broken EXIF
def test_flipped_bytes_raise_no_other_error(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for suffix in ("jpg", "png", "tiff", "webp", "bmp"):
        path = tmp_path / f"a.{suffix}"
        Image.fromarray(PHOTO).save(path, exif=exif)
        content = bytearray(path.read_bytes())
        for position in range(0, len(content), max(1, len(content) // 60)):
            broken = content.copy()
            broken[position] ^= 0xFF
            path.write_bytes(broken)
            try:
                assert read_image(path).ndim == 3
                assert len(image_size(path)) == 2
            except InvalidInput as error:
                assert error.subject == str(path)


def _claiming(suffix: str, side: int) -> bytes:
    """Return a small image whose header declares a width and height of ``side``."""
    buffer = io.BytesIO()
    frames = {"save_all": True, "append_images": [Image.new("RGB", (8, 8), "red")]} if suffix == "webp" else {}
    Image.new("RGB", (8, 8)).save(buffer, suffix, **frames)
    content = bytearray(buffer.getvalue())
    at, one = {
        "png": (content.find(b"IHDR") + 4, struct.pack(">II", side, side)),
        "jpeg": (content.find(b"\xff\xc0") + 5, struct.pack(">HH", side, side)),
        "gif": (6, struct.pack("<HH", side, side)),
        "bmp": (18, struct.pack("<ii", side, side)),
        "webp": (content.find(b"VP8X") + 12, (side - 1).to_bytes(3, "little") * 2),
    }[suffix]
    content[at : at + len(one)] = one
    if suffix == "png":
        content[at + 13 : at + 17] = struct.pack(">I", zlib.crc32(content[at - 4 : at + 13]))
    return bytes(content)


@pytest.mark.parametrize(
    ("suffix", "side"), [("png", 12000), ("jpeg", 12000), ("gif", 60000), ("bmp", 60000), ("webp", 12000)]
)
def test_decompression_bombs_are_refused_by_their_header(
    suffix: str, side: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(_claiming(suffix, side))
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("it was decoded"))
    for read in (read_image, image_size):
        with pytest.raises(InvalidInput) as error:
            read(path)
        assert error.value.allowed == f"at most {MAX_PIXELS:,} pixels"
