"""A plain folder of images, without labels or splits: what a trained network is applied to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from wsss.data.image_ids import image_id, image_ids, renamed
from wsss.data.readers.find_images import images_by_id
from wsss.data.sample import Sample
from wsss.data.sample_ids import without_suffix
from wsss.data.system_folders import SYSTEM_FOLDERS
from wsss.errors import InvalidInput, counted, listing
from wsss.io.rasters.image_kinds import IMAGE_SUFFIXES, unread
from wsss.io.rasters.rgb_images import explained, frames, open_image
from wsss.io.text.utf8 import is_utf8

PAGED = (".tif", ".tiff", ".webp")
"""Formats whose files may hold several images and are read all the same; animated GIFs are refused."""


@dataclass(frozen=True)
class ImageFolder:
    """The images in a folder.

    Args:
        samples: in the order of their names.
        renamed: id → path below the folder, for images whose ids are not their names; see `wsss.data.image_ids`.
        unnamed: images left out since their names are no valid text, escaped.
        closed: folders below that can't be read, and why.
    """

    samples: tuple[Sample, ...]
    renamed: Mapping[str, str]
    unnamed: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()


def images_in(folder: Path, *, recursive: bool = False) -> ImageFolder:
    """Return the images in a folder.

    Args:
        folder: where to look; hidden files and folders are left out.
        recursive: also look in all folders below; ``a/b.jpg`` gets the id ``a__b``. Links to folders aren't followed.

    Raises:
        InvalidInput: no such folder, or no image in it.
    """
    found: dict[str, Path] = {}
    unnamed: list[str] = []
    closed: list[str] = []
    for path in _below(folder, closed=closed) if recursive else _directly(folder):
        relative = path.relative_to(folder)
        if not is_utf8(str(relative)):
            unnamed.append(repr(str(relative)))
        else:
            found[relative.as_posix()] = path
    if not found:
        raise InvalidInput(f"{folder}: no image here; allowed are {listing(IMAGE_SUFFIXES, limit=20)}.{_hint(folder)}")
    ids = image_ids(list(found), folders=True)
    samples = tuple(Sample(ids[file], path) for file, path in found.items())
    others = {one: file for file, one in renamed(ids).items()}
    return ImageFolder(samples, others, tuple(unnamed), tuple(closed))


def left_out_notes(folder: Path, *, recursive: bool = False) -> list[str]:
    """Return sentences that name what `images_in` leaves out although it may be meant: one for each reason."""
    notes = []
    others = other_images(folder, recursive=recursive)
    if others:
        notes.append(
            f"{counted(len(others), 'image file')} in {folder} left out: "
            f"{listing(f'{name} ({reason})' for name, reason in others.items())}."
        )
    several = several_pages(folder, recursive=recursive)
    if several:
        notes.append(f"of files with several frames or pages the first is used: {listing(several)}.")
    hidden = [one.relative_to(folder).as_posix() for one in _below(folder, hidden=True, deep=recursive)]
    if hidden:
        notes.append(f"hidden images in {folder} are left out: {listing(hidden)}.")
    passed = passed_over(folder) if recursive else []
    if passed:
        notes.append(f"links to folders and folders of the system are left out: {listing(passed)}.")
    if not recursive and has_images_below(folder):
        notes.append(f"the images in folders below {folder} are left out; --recursive takes them.")
    return notes


def other_images(folder: Path, *, recursive: bool = False) -> dict[str, str]:
    """Return the files (paths below the folder) that are images by their suffix and are not read → why."""
    return {
        (place / name).relative_to(folder).as_posix(): reason
        for place, names in _walk(folder, deep=recursive)
        for name in names
        if not name.startswith(".") and (reason := unread(name)) is not None
    }


def several_pages(folder: Path, *, recursive: bool = False) -> list[str]:
    """Return the TIFF and WebP files (paths below the folder) that hold several images."""
    found = []
    for path in _below(folder) if recursive else _directly(folder):
        if path.suffix.lower() in PAGED:
            with suppress(InvalidInput), open_image(path, decode=False) as image, explained(path):
                if frames(image) > 1:
                    found.append(path.relative_to(folder).as_posix())
    return found


def passed_over(folder: Path) -> list[str]:
    """Return the folders below (relative paths) that a recursive search leaves out: links, and the system's own."""
    return [
        path.relative_to(folder).as_posix()
        for place, folders, _ in os.walk(folder)
        for path in (Path(place) / name for name in sorted(folders))
        if path.is_symlink() or path.name.casefold() in SYSTEM_FOLDERS
    ]


def _is_read(name: str) -> bool:
    return without_suffix(name) != name and unread(name) is None


def images_below(folder: Path) -> dict[str, list[Path]]:
    """Return the images in folders below this one by the ids that `images_in` gives them."""
    found: dict[str, list[Path]] = {}
    for path in _below(folder):
        if path.parent != folder:
            found.setdefault(image_id(path.relative_to(folder).as_posix()), []).append(path)
    return found


def has_images_below(folder: Path) -> bool:
    """Tell whether folders below this one hold images, which `images_in` leaves out unless it is recursive."""
    return any(path.parent != folder for path in _below(folder))


def _directly(folder: Path) -> list[Path]:
    paths = (path for paths in images_by_id(folder).values() for path in paths)
    return [path for path in paths if not path.is_dir() and _is_read(path.name)]


def _below(folder: Path, *, hidden: bool = False, deep: bool = True, closed: list[str] | None = None) -> Iterator[Path]:
    """Yield the images in a folder and in all below it, in a fixed order; either the hidden ones or the others.

    Args:
        folder: where to begin.
        hidden: which of the two.
        deep: also in folders below.
        closed: gets the folders that can't be read.
    """
    for place, names in _walk(folder, hidden=hidden, deep=deep, closed=closed):
        inside = any(part.startswith(".") for part in place.relative_to(folder).parts)
        for name in names:
            if (inside or name.startswith(".")) == hidden and _is_read(name):
                yield place / name


def _walk(
    folder: Path, *, hidden: bool = False, deep: bool = True, closed: list[str] | None = None
) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder from ``folder`` down with the names of its files, sorted."""

    def note(error: OSError) -> None:
        if Path(str(error.filename)) == folder:
            raise InvalidInput(f"{folder}: can't be read ({error.strerror}).") from error
        if closed is not None:
            closed.append(f"{error.filename} ({error.strerror})")

    for place, folders, names in os.walk(folder, onerror=note):
        folders[:] = sorted(
            name
            for name in folders
            if deep and (hidden or not name.startswith(".")) and name.casefold() not in SYSTEM_FOLDERS
        )
        yield Path(place), sorted(names)


def _hint(folder: Path) -> str:
    below = " There are some in folders below it; --recursive takes them." if has_images_below(folder) else ""
    others = other_images(folder)
    left_out = listing(f"{name}: {reason}" for name, reason in others.items())
    return below + (f" Left out: {left_out}." if others else "")
