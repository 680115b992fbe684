"""Image file types: suffixes, signatures, and why some are not supported."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import PurePath
from types import MappingProxyType

HEIF_SUFFIXES = (".heic", ".heif", ".hif")
IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".avif"),
    *HEIF_SUFFIXES,
)
"""Suffixes of images, in lower case; the format itself is determined from the content."""

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "AVIF", "HEIF")
"""Pillow's names of the formats that are opened; every additional decoder enlarges the attack surface."""

PLUGINS = ("Jpeg", "Mpo", "Png", "Bmp", "Tiff", "WebP", "Gif", "Avif")
"""Pillow's plugins for `FORMATS`; MPO is a JPEG with a camera's preview. HEIF comes from `HEIF_PACKAGES`."""

HEIF_PACKAGES = ("pi_heif", "pillow_heif")
"""Packages that read HEIC. The extra installs pi-heif (LGPL); wheels of pillow-heif bundle x265 (GPL)."""

HEIC_NEEDS = "HEIC needs pip install 'wsss[heic]'"
AVIF_NEEDS = "AVIF needs Pillow 11.3 or newer: pip install -U pillow"
CONVERT = "convert it to JPEG or PNG"

_RAW = (
    *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".rw2", ".orf", ".pef"),
    *(".srw", ".x3f", ".iiq", ".3fr", ".erf", ".kdc", ".dcr", ".mrw", ".raw"),
)
_KINDS: dict[str, tuple[str, ...]] = {
    "a raw camera image": _RAW,
    "JPEG 2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "JPEG XL": (".jxl",),
    "JPEG XR": (".jxr", ".wdp", ".hdp"),
    "a Photoshop file": (".psd", ".psb"),
    "a GIMP file": (".xcf",),
    "a vector graphic": (".svg", ".svgz", ".eps", ".ai", ".wmf", ".emf"),
    "a PDF": (".pdf",),
    "an icon": (".ico", ".icns", ".cur"),
    "a NetPBM image": (".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".pfm"),
    "a medical image": (".dcm", ".dicom", ".nii", ".mha", ".nrrd"),
    "a microscopy image": (".svs", ".ndpi", ".czi", ".lif", ".nd2", ".lsm", ".vsi"),
    "a high-dynamic-range image": (".hdr", ".exr"),
    "an animation": (".apng", ".mng", ".flif", ".heics", ".avifs"),
    "an uncommon image format": (".tga", ".dds", ".pcx", ".qoi", ".bpg", ".sgi", ".xbm", ".xpm", ".fits", ".fit"),
}
KIND_OF = MappingProxyType({suffix: kind for kind, suffixes in _KINDS.items() for suffix in suffixes})
"""Suffix in lower case → type, of image files that are not supported."""

OTHER_IMAGES = tuple(KIND_OF)
"""Suffixes of unsupported image files."""

_SIGNATURES = {
    b"8BPS": "a Photoshop file",
    b"DDS ": "a texture (DDS)",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"%PDF": "a PDF",
    b"<svg": "a vector graphic",
    **{f"P{number}\n".encode(): "a NetPBM image" for number in range(1, 8)},
}
_READ_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n": "PNG",
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"BM": "BMP",
}
_WEB_PAGES = (b"<!doctype html", b"<html")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")


def stem_of(name: str, suffixes: tuple[str, ...]) -> str:
    """Return a file name without its suffix, if the suffix is one of ``suffixes``."""
    stem, dot, suffix = name.rpartition(".")
    return stem if stem and (dot + suffix).lower() in suffixes else name


def unsupported_reason(name: str) -> str | None:
    """Return why an image file is not supported (by suffix), and a fix; ``None`` for all other files."""
    suffix = PurePath(name).suffix.lower()
    if suffix in HEIF_SUFFIXES and not reads_heif():
        return HEIC_NEEDS
    if suffix == ".avif" and not reads_avif():
        return AVIF_NEEDS
    kind = KIND_OF.get(suffix)
    return None if kind is None else f"{suffix} is {kind}, which is not supported: {CONVERT}"


def content_unread(beginning: bytes) -> str | None:
    """Return why a file is not supported (by signature), and a fix; ``None`` if unknown.

    Args:
        beginning: the first 32 bytes or more.
    """
    if beginning[4:8] == b"ftyp":
        brand = beginning[8:12]
        if brand in (b"avif", b"avis"):
            return None if reads_avif() else AVIF_NEEDS
        if brand in _HEIF_BRANDS:
            return None if reads_heif() else HEIC_NEEDS
    if beginning.lower().startswith(_WEB_PAGES):
        return "it is a web page, not an image"
    kind = next((kind for magic, kind in _SIGNATURES.items() if beginning.startswith(magic)), None)
    return None if kind is None else f"it is {kind}: {CONVERT}"


def format_of_signature(beginning: bytes) -> str | None:
    """Return the supported format of a file's signature, ``None`` for other files.

    Args:
        beginning: the first 32 bytes or more.
    """
    if beginning[4:8] == b"ftyp":
        return {b"avif": "AVIF", b"avis": "AVIF"}.get(beginning[8:12]) or (
            "HEIC" if beginning[8:12] in _HEIF_BRANDS else None
        )
    if beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP":
        return "WebP"
    return next((kind for magic, kind in _READ_SIGNATURES.items() if beginning.startswith(magic)), None)


def reads_heif() -> bool:
    """Return whether one of `HEIF_PACKAGES` is installed."""
    return any(find_spec(package) is not None for package in HEIF_PACKAGES)


def reads_avif() -> bool:
    """Return whether Pillow reads AVIF."""
    from PIL import features

    return "avif" in features.get_supported_modules()
