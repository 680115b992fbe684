"""Supported image formats, and errors for other image files."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsss.data.checks.inspection import SEVERAL, inspect_sample
from wsss.data.classes import Classes
from wsss.data.sample import Sample
from wsss.errors import InvalidInput
from wsss.io.rasters import image_kinds, rgb_images
from wsss.io.rasters.image_kinds import HEIC_NEEDS, IMAGE_SUFFIXES, KIND_OF, content_unread, unsupported_reason
from wsss.io.rasters.rgb_images import image_size, read_image

# 24×16 pixels, red on the left and blue on the right, written by x265 through libheif.
HEIC = base64.b85decode(
    "0000SW^{RQXk}?*00000ZE0pPXk}?*ZE0a<0004eZDn*}000000000XXk=`10000000000aA{+700000000000000000000B57=IV*mgE07O6l0RRC2"
    "00001pa1~?00000002e+001LtX>Mi!000000RR916=`l}WdZ;I000310BCk&F#rGn01j|zbZr0t000010002|X>f9I0002oX>en20001WXm(>m0RwOV"
    "0058x000009`FGC{rLC*01pFT0096PKmiN^|NjGU00093kN^M!000939=ZZRVE_RDDMA4O18@KU0|1Z!00RI30{|YNAb|yz>aLpR;31&EfB*mtfB*mk"
    "0EA)y0RRR>0l{;@i2wiq6Ju{|a&BX6cmM$a4FCp!0000KX>)L8000000000$0000$0000eV{Bn?0000O000010000G00001|NsBk00002|NsBc000020"
    "000GaA|mH000000|*ER0000OX>e^}0000000001009Mo0s{qv0000^ZDe6|0000&C;_h%A*2{s<uz0NMAwplSRbh>Y6X<0tp3qnv((F#sr8)z&R5X^d"
    "<juwK=nt9+Sn!N<FK%Erj1`|2WMc;)HV"
)
PHOTO = np.random.default_rng(0).integers(0, 256, (24, 36, 3), dtype=np.uint8)
AVIF = pytest.mark.skipif(not image_kinds.reads_avif(), reason="this Pillow reads no AVIF")
HEIF = pytest.mark.skipif(not image_kinds.reads_heif(), reason="no package that reads HEIC is installed")


@pytest.fixture
def without_heif(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide all packages that read HEIC."""
    readable = tuple(name for name in rgb_images._formats() if name != "HEIF")
    for module in (image_kinds, rgb_images):
        monkeypatch.setattr(module, "HEIF_PACKAGES", ())
    monkeypatch.setattr(rgb_images, "_formats", lambda: readable)


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "jfif", "jpe", "png", "bmp", "tif", "tiff", "webp", "gif"])
def test_listed_suffixes_are_read(suffix: str, tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / f"a.{suffix.upper()}", format={"jpe": "JPEG"}.get(suffix))
    assert read_image(tmp_path / f"a.{suffix.upper()}").shape == PHOTO.shape
    assert f".{suffix}" in IMAGE_SUFFIXES


@AVIF
def test_avif(tmp_path: Path) -> None:
    Image.fromarray(np.full((16, 24, 3), 90, np.uint8)).save(tmp_path / "a.avif", quality=100)
    assert abs(read_image(tmp_path / "a.avif").astype(int) - 90).max() <= 2
    content = bytearray((tmp_path / "a.avif").read_bytes())
    for position in range(0, len(content), 7):
        broken = content.copy()
        broken[position] ^= 0xFF
        (tmp_path / "b.jpg").write_bytes(broken)
        try:
            assert read_image(tmp_path / "b.jpg").ndim == 3
        except InvalidInput as error:
            assert error.subject == str(tmp_path / "b.jpg")


@HEIF
@pytest.mark.parametrize("name", ["a.heic", "a.HEIF", "a.jpg"])
def test_heic_is_read_whatever_its_suffix(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(HEIC)
    pixels = read_image(tmp_path / name).astype(int)
    assert pixels.shape == (16, 24, 3) and image_size(tmp_path / name) == (16, 24)
    assert abs(pixels[8, 2] - (200, 40, 30)).max() < 12 and abs(pixels[8, 21] - (20, 60, 180)).max() < 12
    (tmp_path / name).write_bytes(HEIC[:300])
    with pytest.raises(InvalidInput) as error:
        read_image(tmp_path / name)
    assert error.value.subject == str(tmp_path / name)


@pytest.mark.parametrize("name", ["photo.heic", "photo.HIF", "renamed.jpg"])
def test_heic_without_the_extra(name: str, tmp_path: Path, without_heif: None) -> None:
    (tmp_path / name).write_bytes(HEIC)
    with pytest.raises(InvalidInput) as error:
        read_image(tmp_path / name)
    assert error.value.problem == HEIC_NEEDS
    assert unsupported_reason("photo.heic") == HEIC_NEEDS and unsupported_reason("photo.jpg") is None


@pytest.mark.parametrize("name", ["a.dng", "b.PSD", "c.svg", "d.jxl", "e.jp2", "f.raw", "g.cr2", "h.nef", "i.arw"])
def test_unsupported_formats_are_recognised(name: str) -> None:
    assert KIND_OF[Path(name).suffix.lower()] in str(unsupported_reason(name))


def test_suffixes_are_disjoint() -> None:
    assert not set(IMAGE_SUFFIXES) & set(KIND_OF)
    for other in ("notes.txt", "labels.csv", "Thumbs.db", "photo", "mask.npy", ".heic2"):
        assert unsupported_reason(other) is None


@pytest.mark.parametrize(
    ("format", "kind"), [("JPEG2000", "JPEG 2000"), ("PPM", "NetPBM"), ("ICO", ""), ("PCX", ""), ("TGA", "")]
)
def test_other_formats_are_refused_whatever_the_suffix(format: str, kind: str, tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "real", format=format)
    (tmp_path / "real").rename(tmp_path / "a.jpg")
    with pytest.raises(InvalidInput) as error:
        read_image(tmp_path / "a.jpg")
    assert error.value.subject == str(tmp_path / "a.jpg") and kind in error.value.problem


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"8BPS\0\1", "Photoshop"), (b"<!DOCTYPE html><p>", "web page"), (b"%PDF-1.7", "PDF"), (b"\xff\x0a\0", "JPEG XL")],
)
def test_content_behind_a_wrong_suffix_is_recognised(content: bytes, kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(content + b"\0" * 40)
    with pytest.raises(InvalidInput) as error:
        read_image(tmp_path / "a.png")
    assert error.value.subject == str(tmp_path / "a.png") and kind in error.value.problem
    assert content_unread(b"\x89PNG\r\n\x1a\n") is None


def save_frames(path: Path, count: int) -> Path:
    frames = [Image.fromarray(np.full((8, 8, 3), 40 * n, np.uint8)) for n in range(count)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    return path


def test_gif_with_one_frame_is_read_and_an_animation_refused(tmp_path: Path) -> None:
    assert (read_image(save_frames(tmp_path / "one.gif", 1)) == 0).all()
    with pytest.raises(InvalidInput) as error:
        read_image(save_frames(tmp_path / "many.gif", 3))
    assert error.value.found == 3


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_further_frames_are_noted(suffix: str, tmp_path: Path) -> None:
    classes = Classes(("background",), ((0,),))
    for count in (1, 3):
        path = save_frames(tmp_path / f"{count}.{suffix}", count)
        result = inspect_sample(Sample("a", path), classes)
        assert result.problems == () and result.size == (8, 8)
        assert result.notes == (() if count == 1 else ((SEVERAL, f"3.{suffix} (3)"),))
