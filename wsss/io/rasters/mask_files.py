"""Finding the mask of an image by the image's id: one lookup for ground truth, predictions and masks to refine.

A mask is called like its image, ``ID.png``. Names that annotation tools and public datasets use are understood too:
other lossless formats, the image's whole name (``a.jpg.png``), and words at the end (``a_mask.png``,
``21_manual1.gif`` of the image ``21_training.tif``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wsss.errors import InvalidInput, counted, listing
from wsss.io.rasters.rgb_images import IMAGE_SUFFIXES

MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif")
"""Formats that keep pixel values."""

LOSSY_SUFFIXES = (".jpg", ".jpeg", ".webp")
"""Formats that change pixel values: no masks, and worth a word where masks are looked for."""

INSIDE = "masks"
"""A stage keeps its masks in this folder; a folder from elsewhere may hold them itself."""

GUESSED = "masks matched by a part of the name"
STRANGERS = "masks without an image"
LOSSY = "files that are no masks"
UNUSED = (STRANGERS, LOSSY)
"""Kinds of `MaskFiles.remarks` on files that are no image's mask."""

_MASK_WORDS = (
    *("masks?", "gt", "gtfine", "ground[_-]?truth", "truth", "labels?", "label[_-]?ids", "seg", "segmentation"),
    *("segmask", "annotations?", "annotated", "manual[0-9]*", "[12](st|nd)ho", "l"),
)
_IMAGE_WORDS = (
    "training",
    "train",
    "test",
    "val",
    "images?",
    "img",
    "im",
    "sat",
    "rgb",
    "photo",
    "input",
    "leftimg8bit",
)
_OF_MASK = re.compile(rf"(?:[_\-. ](?:{'|'.join(_MASK_WORDS)}))+$", re.IGNORECASE)
_OF_IMAGE = re.compile(rf"(?:[_\-. ](?:{'|'.join(_IMAGE_WORDS)}))+$", re.IGNORECASE)


@dataclass(frozen=True)
class MaskFiles:
    """The masks in a folder.

    Args:
        folder: where they are.
        found: image id → file.
        guessed: ids whose file is neither called ``ID`` nor like the whole image, in the order of the files.
        strangers: names of masks that match no image.
        lossy: names of JPEG and WebP files, which are not read as masks.
    """

    folder: Path
    found: Mapping[str, Path]
    guessed: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()
    lossy: tuple[str, ...] = ()

    def remarks(self) -> Iterator[tuple[str, str]]:
        """Yield what is worth knowing: a kind, and one message that names files."""
        if self.guessed:
            pairs = [f"{self.found[one].name} of image {one}" for one in self.guessed]
            what = f"{_count(pairs)} matched by a part of the name: {listing(pairs)}"
            yield GUESSED, f"{self.folder}: {what}"
        if self.strangers:
            what = f"No matching image for {_count(self.strangers)}: {listing(self.strangers)}"
            yield STRANGERS, f"{self.folder}: {what}"
        if self.lossy:
            what = f"JPEG and WebP change pixel values, so these are not read as masks: {listing(self.lossy)}"
            yield LOSSY, f"{self.folder}: {what}"


def masks_folder(folder: Path) -> Path:
    """Return the folder that holds the masks: ``folder/masks`` where that is one, else ``folder``."""
    inside = folder / INSIDE
    return inside if inside.is_dir() else folder


def masks_by_id(folder: Path, ids: Collection[str], *, suffix: str | None = None) -> MaskFiles:
    """Return the masks of images.

    Args:
        folder: which holds the masks themselves; none where there is no such folder.
        ids: of the images.
        suffix: only files whose name, without its format, ends in this are masks, and what stands before is the id.

    Raises:
        InvalidInput: two files for one id, no file that ends in ``suffix``, or the folder can't be read.
    """
    names = _names(folder)
    if suffix is not None and names and not any(_stem(name, MASK_SUFFIXES).endswith(suffix) for name in names):
        raise InvalidInput(
            f"{folder}: no mask's name ends in {suffix!r} (data.mask_suffix); found {listing(names)}.",
            hint="Give the end of the names without the format: _mask for a_mask.png.",
        )
    lossy = tuple(name for name in names if name.lower().endswith(LOSSY_SUFFIXES))
    without_words = _unique((_OF_IMAGE.sub("", one), one) for one in ids)
    found: dict[str, Path] = {}
    guessed: dict[str, None] = {}
    strangers: list[str] = []
    for name in names:
        stem = _stem(name, MASK_SUFFIXES)
        if stem == name or (suffix is not None and not stem.endswith(suffix)):
            continue
        base = stem if suffix is None else stem[: -len(suffix) or None]
        image = next((one for one in (base, _stem(base, IMAGE_SUFFIXES)) if one in ids), None)
        if image is None and suffix is None:
            base = _OF_MASK.sub("", stem)
        image = next((one for one in (image, base, without_words.get(base)) if one is not None and one in ids), None)
        if image is None:
            strangers.append(name)
            continue
        if image in found:
            raise _twice(folder, image, found[image].name, name)
        found[image] = folder / name
        if suffix is None and image not in (stem, _stem(stem, IMAGE_SUFFIXES)):
            guessed[image] = None
    return MaskFiles(folder, found, tuple(guessed), tuple(strangers), lossy)


def masks_alone(folder: Path) -> dict[str, Path]:
    """Return the masks in a folder by the id that their own names give, where no image is known.

    Raises:
        InvalidInput: two files for one id, or the folder can't be read.
    """
    found: dict[str, Path] = {}
    for name in _names(folder):
        stem = _stem(name, MASK_SUFFIXES)
        if stem in found:
            raise _twice(folder, stem, found[stem].name, name)
        if stem != name:
            found[stem] = folder / name
    return found


def _names(folder: Path) -> list[str]:
    """Return the names of files in a folder, hidden ones left out; none where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InvalidInput(f"{folder}: can't be read ({error.strerror}).") from error


def _stem(name: str, suffixes: tuple[str, ...]) -> str:
    """Return a file name without its suffix if that is one of ``suffixes``; other dots belong to the name."""
    stem, dot, suffix = name.rpartition(".")
    return stem if stem and (dot + suffix).lower() in suffixes else name


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return key → value of the keys that occur once."""
    found: dict[str, list[str]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return {key: values[0] for key, values in found.items() if len(values) == 1}


def _count(names: Sequence[str]) -> str:
    return counted(len(names), "mask")


def _twice(folder: Path, image: str, one: str, other: str) -> InvalidInput:
    return InvalidInput(
        f"{folder}: {one} and {other} are both masks of image {image!r}; one is expected.",
        hint="Delete or move one of them, or choose by the end of the names: mask_suffix: _mask (in data:).",
    )
