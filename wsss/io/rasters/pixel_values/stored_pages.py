"""Headers of images whose pixels may need a scaling, a page or bands: TIFF, and PNG with 16 bits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from wsss.errors import InvalidInput, Verbatim, counted
from wsss.io.files.contained import open_to_read
from wsss.io.rasters.pixel_values.reading import Reading

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

MAX_PAGES = 100_000
"""Maximum number of pages of a TIFF that are examined."""

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK = 0, 1, 2, 3, 5
"""Values of the TIFF tag PhotometricInterpretation."""

COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, 4: 1, CMYK: 4, 6: 3, 8: 3, 9: 3}
"""PhotometricInterpretation → number of bands besides alpha."""

UNCOMPRESSED = 1
"""Value of the TIFF tag Compression."""

ORIENTATION = 0x0112
"""EXIF tag: 1 upright, 2–4 mirrored or upside down, 5–8 transposed or rotated by 90°."""

NUMBERS = {1: "uint", 2: "int", 3: "float", 4: "uint"}
"""TIFF tag SampleFormat → kind of number."""

COMPLEX = "complex"
"""Kind of all other numbers."""

_DEEP_MODES = {**dict.fromkeys(("I;16", "I;16B", "I;16L", "I;16N"), (16, "uint")), "I": (32, "int"), "F": (32, "float")}
"""Pillow's modes with more than 8 bits → bits and kind of number."""

PATH_HINT = "Pass the path of the file instead of the opened image."

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_BANDS = {0: 1, 2: 3, 4: 2, 6: 4}
_TIFF = (b"II*\0", b"MM\0*", b"II+\0")
_BIG_ENDIAN_BIGTIFF = b"MM\0+"
_REDUCED_OR_MASK = 0b101


@dataclass(frozen=True)
class StoredPage:
    """The header of one page of an image.

    Args:
        frame: index of the page in the file, including overviews and masks.
        size: ``(height, width)`` as stored.
        bands: number of bands, including alpha.
        bits: bits per value.
        kind: ``uint``, ``int``, ``float`` or ``complex``.
        alpha: the last band is transparency.
        premultiplied: the colours are multiplied by the transparency (associated alpha, TIFF's ExtraSamples 1).
        photometric: TIFF's PhotometricInterpretation.
        turn: EXIF orientation, 1 … 8.
        planar: the bands are stored one after the other.
        compression: TIFF's Compression.
        big_endian: the most significant byte of a value comes first.
        png: the file is a PNG.
    """

    frame: int
    size: tuple[int, int]
    bands: int
    bits: int
    kind: str
    alpha: bool = False
    premultiplied: bool = False
    photometric: int = BLACK_IS_ZERO
    turn: int = 1
    planar: bool = False
    compression: int = UNCOMPRESSED
    big_endian: bool = False
    png: bool = False

    @property
    def upright_size(self) -> tuple[int, int]:
        """``(height, width)`` of the upright image."""
        return (self.size[1], self.size[0]) if self.turn >= 5 else self.size

    @property
    def deep(self) -> bool:
        """Whether the values have no defined range of 8 bits."""
        return self.bits > 8 or self.kind != "uint"

    @property
    def plain(self) -> bool:
        """Whether Pillow converts the page to RGB without any choice."""
        return not self.deep and self.bands == COLOURS.get(self.photometric, 0) + self.alpha

    def converted(self, bands: tuple[int, ...] | None) -> bool:
        """Whether Pillow converts the page to RGB, from which ``bands`` are chosen, as for other formats.

        Bands of 8-bit grey and RGB pages with transparency are chosen among the stored ones instead.
        """
        stored = self.alpha and self.bits == 8 and self.photometric in (BLACK_IS_ZERO, RGB)
        return self.plain and (bands is None or not stored)

    @property
    def depth(self) -> str:
        """Description of the values: ``16-bit``, ``16-bit signed``, ``32-bit floating-point``."""
        return f"{self.bits}-bit" + {"int": " signed", "float": " floating-point", COMPLEX: " complex"}.get(
            self.kind, ""
        )


def stored_page(path: Path, reading: Reading) -> StoredPage | None:
    """Return the header of the page that is read; ``None`` for images other than TIFF and 16-bit PNG.

    ``reading.page`` applies to TIFF files only: no other file has pages.

    Raises:
        InvalidInput: the TIFF has several pages and ``reading`` names none, or has fewer pages.
        OSError, SyntaxError, ValueError: the file cannot be read, or is not valid.
    """
    pages = stored_pages(path)
    if not pages or pages[0].png:
        return pages[0] if pages else None
    count = len(pages)
    if count > 1 and reading.page is None:
        raise InvalidInput(
            "the file has several pages",
            subject=path,
            allowed="one page, or the page to read",
            found=Verbatim(counted(count, "page")),
            hint="Set data.page to the page to read, from 1, or save the pages as separate files. Options: wsss init "
            "--page …, wsss predict --page …",
        )
    if (reading.page or 1) > count:
        raise InvalidInput(
            "no such page",
            subject=path,
            allowed=f"data.page (wsss predict: --page) from 1 to {count}",
            found=reading.page,
            hint="wsss predict --images uses the page of the training images; override it: --page 1.",
        )
    return pages[(reading.page or 1) - 1]


def stored_pages(path: Path) -> list[StoredPage]:
    """Return the headers of all pages, without overviews and transparency masks; empty for other images.

    Raises:
        InvalidInput: a big-endian BigTIFF, whose directory Pillow cannot read.
        OSError, SyntaxError, ValueError: the file cannot be read, or is not valid.
    """
    with open_to_read(path) as file:
        head = file.read(26)
        if head.startswith(_BIG_ENDIAN_BIGTIFF):
            raise InvalidInput(
                "big-endian BigTIFF is not supported",
                subject=path,
                allowed="TIFF, or little-endian BigTIFF",
                hint="Convert the file: rio convert IN.tif OUT.tif --co ENDIANNESS=LITTLE (pip install 'wsss[geo]').",
            )
        if head.startswith(_TIFF):
            return _tiff_pages(file)
        if head.startswith(_PNG) and len(head) == 26 and head[24] == 16:
            size = int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big")
            bands = _PNG_BANDS.get(head[25], 0)
            return [StoredPage(0, size, bands, 16, "uint", alpha=bands in (2, 4), png=True)] if bands else []
    return []


def deep_page(image: Image, where: object) -> StoredPage | None:
    """Return the header of an open image with more than 8 bits; ``None`` for other images.

    Raises:
        InvalidInput: a TIFF whose values Pillow reduced to 8 bits, or decoded with swapped bytes.
    """
    header = _tiff_page(image.tag_v2, image.tell()) if image.format == "TIFF" and hasattr(image, "tag_v2") else None
    if image.mode not in _DEEP_MODES:
        if header is not None and header.deep:
            raise InvalidInput(
                f"Pillow keeps only 8 bits of {header.depth} values", subject=where, allowed="a path", hint=PATH_HINT
            )
        return None
    if header is not None and header.deep:
        if header.big_endian and header.compression != UNCOMPRESSED and header.depth != "16-bit":
            raise InvalidInput(
                f"Pillow swaps the bytes of compressed big-endian {header.depth} values",
                subject=where,
                allowed="a path",
                hint=PATH_HINT,
            )
        return header
    return StoredPage(0, (image.height, image.width), 1, *_DEEP_MODES[image.mode])


def frame_is_page(image: Image) -> bool:
    """Return whether the current frame of an open TIFF is a page, not an overview or a transparency mask."""
    return not _number(getattr(image, "tag_v2"), 254, 0) & _REDUCED_OR_MASK  # noqa: B009 -- Pillow's base class lacks it


def _tiff_pages(file: BinaryIO) -> list[StoredPage]:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    file.seek(0)
    header = file.read(8)
    if b"+" in header[2:4]:  # BigTIFF
        header += file.read(8)
    directory = ImageFileDirectory_v2(header)
    pages: list[StoredPage] = []
    offset, seen = directory.next, set[int]()
    while offset and offset not in seen and len(seen) < MAX_PAGES:
        seen.add(offset)
        file.seek(offset)
        directory.load(file)
        if not _number(directory, 254, 0) & _REDUCED_OR_MASK:
            pages.append(_tiff_page(directory, len(seen) - 1))
        offset = directory.next
    if not pages:
        raise ValueError("no image in the file")
    return pages


def _tiff_page(directory: ImageFileDirectory_v2, frame: int) -> StoredPage:
    bands, extra = _number(directory, 277, 1), directory.get(338, ())
    extra = extra if isinstance(extra, tuple) else (extra,)
    size = _number(directory, 257, 0), _number(directory, 256, 0)
    if min(size) < 1:
        raise ValueError("no pixels")
    photometric, turn = _number(directory, 262, BLACK_IS_ZERO), _number(directory, ORIENTATION, 1)
    alpha = bands == COLOURS.get(photometric, 0) + 1 and extra[-1:] in ((1,), (2,))
    return StoredPage(
        frame,
        size,
        bands,
        _number(directory, 258, 1),
        NUMBERS.get(_number(directory, 339, 1), COMPLEX),
        alpha=alpha,
        premultiplied=alpha and extra[-1] == 1,
        photometric=photometric,
        turn=turn if 1 <= turn <= 8 else 1,
        planar=_number(directory, 284, 1) == 2,
        compression=_number(directory, 259, UNCOMPRESSED),
        big_endian=directory.prefix == b"MM",
    )


def _number(directory: ImageFileDirectory_v2, tag: int, default: int) -> int:
    """Return the first value of a tag."""
    value: Any = directory.get(tag, default)
    value = value[0] if isinstance(value, tuple) and value else value
    return value if isinstance(value, int) else default
