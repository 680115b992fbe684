"""Lookup of mask files by image id: ground truth, predictions, and masks to refine.

The mask of an image is ``ID.png``. Names of annotation tools and public datasets are supported as well: other lossless
formats, the full file name of the image (``a.jpg.png``), and suffixes (``a_mask.png``, ``21_manual1.gif`` for the image
``21_training.tif``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wsss.errors import InvalidInput, counted, listing, unreadable
from wsss.io.files.stage_files import MASKS
from wsss.io.rasters.image_kinds import IMAGE_SUFFIXES, stem_of

MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif")
"""Formats that keep pixel values."""

LOSSY_SUFFIXES = (".jpg", ".jpeg", ".webp")
"""Formats that change pixel values: never masks, but reported."""

GUESSED = "masks matched by a part of the name"
UNMATCHED = "masks without an image"
LOSSY = "lossy files, not read as masks"
UNUSED = (UNMATCHED, LOSSY)
"""Kinds of `MaskFiles.remarks` about files that are not used."""

_MASK_WORDS = (
    *("masks?", "gt", "gtfine", "ground[_-]?truth", "truth", "labels?", "label[_-]?ids", "seg", "segmentation"),
    *("segmask", "annotations?", "annotated", "manual[0-9]*", "[12](st|nd)ho", "l"),
)
_IMAGE_WORDS = (
    *("training", "train", "test", "val", "images?", "img", "im", "sat", "rgb", "photo", "input", "leftimg8bit"),
)
_OF_MASK = re.compile(rf"(?:[_\-. ](?:{'|'.join(_MASK_WORDS)}))+$", re.IGNORECASE)
_OF_IMAGE = re.compile(rf"(?:[_\-. ](?:{'|'.join(_IMAGE_WORDS)}))+$", re.IGNORECASE)


@dataclass(frozen=True)
class MaskFiles:
    """The masks in a folder.

    Args:
        paths: image id → file.
        guessed: ids matched by a part of the file name, in the order of the files.
        unmatched: names of masks without an image.
        lossy: names of JPEG and WebP files, which are not read as masks.
    """

    folder: Path
    paths: Mapping[str, Path]
    guessed: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()
    lossy: tuple[str, ...] = ()

    def remarks(self) -> Iterator[tuple[str, str]]:
        """Yield notes on the matching: a kind, and a message that names files."""
        if self.guessed:
            pairs = [f"{self.paths[id].name} of image {id}" for id in self.guessed]
            count = counted(len(pairs), "mask")
            yield GUESSED, f"{self.folder}: {count} matched by a part of the name: {listing(pairs)}"
        if self.unmatched:
            count = counted(len(self.unmatched), "mask")
            yield UNMATCHED, f"{self.folder}: no matching image for {count}: {listing(self.unmatched)}"
        if self.lossy:
            text = f"JPEG and WebP change pixel values and are not read as masks: {listing(self.lossy)}"
            yield LOSSY, f"{self.folder}: {text}"


def masks_folder(folder: Path) -> Path:
    """Return ``folder/masks`` if it is a folder, as in a stage's, otherwise ``folder``."""
    subfolder = folder / MASKS
    return subfolder if subfolder.is_dir() else folder


def masks_by_id(folder: Path, ids: Collection[str], *, suffix: str | None = None) -> MaskFiles:
    """Return the masks of images.

    Args:
        folder: the folder of the mask files; a missing one has no masks.
        suffix: end of the mask names without the format; the part before it is the id. Other files are ignored.

    Raises:
        InvalidInput: two files for one id, no file that ends in ``suffix``, or the folder cannot be read.
    """
    names = _names(folder)
    if suffix is not None and names and not any(stem_of(name, MASK_SUFFIXES).endswith(suffix) for name in names):
        raise InvalidInput(
            subject=folder,
            allowed=f"names that end in {suffix!r} (data.mask_suffix)",
            found=names,
            hint="Set data.mask_suffix to the end of the names without file extension: _mask for a_mask.png.",
        )
    lossy = tuple(name for name in names if name.lower().endswith(LOSSY_SUFFIXES))
    without_words: dict[str, str] | None = None
    paths: dict[str, Path] = {}
    guessed: dict[str, None] = {}
    unmatched: list[str] = []
    for name in names:
        stem = stem_of(name, MASK_SUFFIXES)
        if stem == name or (suffix is not None and not stem.endswith(suffix)):
            continue
        base = stem if suffix is None else stem[: -len(suffix) or None]
        image = next((id for id in (base, stem_of(base, IMAGE_SUFFIXES)) if id in ids), None)
        if image is None:
            base = _OF_MASK.sub("", stem) if suffix is None else base
            if without_words is None:  # only if a name differs
                without_words = _unique((_OF_IMAGE.sub("", id), id) for id in ids)
            image = base if base in ids else without_words.get(base)
        if image is None:
            unmatched.append(name)
            continue
        if image in paths:
            raise _ambiguous(folder, image, paths[image].name, name)
        paths[image] = folder / name
        if suffix is None and image not in (stem, stem_of(stem, IMAGE_SUFFIXES)):
            guessed[image] = None
    return MaskFiles(folder, paths, tuple(guessed), tuple(unmatched), lossy)


def masks_by_name(folder: Path) -> dict[str, Path]:
    """Return the masks in a folder by their file names, for masks without images.

    Raises:
        InvalidInput: two files for one id, or the folder cannot be read.
    """
    paths: dict[str, Path] = {}
    for name in _names(folder):
        stem = stem_of(name, MASK_SUFFIXES)
        if stem in paths:
            raise _ambiguous(folder, stem, paths[stem].name, name)
        if stem != name:
            paths[stem] = folder / name
    return paths


def _names(folder: Path) -> list[str]:
    """Return the names of the files in a folder except hidden ones; none if the folder is missing."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise unreadable(folder, error) from error


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return key → value for the keys that occur once."""
    groups: dict[str, list[str]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return {key: values[0] for key, values in groups.items() if len(values) == 1}


def _ambiguous(folder: Path, image: str, first: str, second: str) -> InvalidInput:
    return InvalidInput(
        f"{first} and {second} are both masks of image {image!r}",
        subject=folder,
        hint="Delete or move one of them, or select masks by a suffix of their names: mask_suffix: _mask (in data:).",
    )
