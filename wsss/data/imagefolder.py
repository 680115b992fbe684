"""A plain folder of images, without labels or splits: what a trained network is applied to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from wsss.data.lists import check_id, images_by_id, without_suffix
from wsss.data.sample import Sample
from wsss.errors import InvalidInput, listing
from wsss.io.images import IMAGE_SUFFIXES

SEPARATOR = "__"
"""Stands for the slash in the id of an image in a sub-folder: ids are file names."""


def images_in(folder: Path, *, recursive: bool = False) -> tuple[Sample, ...]:
    """Return the images in a folder, in the order of their names.

    Args:
        folder: where to look; hidden files and folders are left out.
        recursive: also look in all folders below; ``a/b.jpg`` gets the id ``a__b``. Links to folders aren't followed.

    Raises:
        InvalidInput: no such folder, no image in it, two images of one id, or a name that can't be an id.
    """
    if recursive:
        found: dict[str, list[Path]] = {}
        for path in _below(folder):
            found.setdefault(_id(path.relative_to(folder)), []).append(path)
    else:
        found = {one: [path for path in paths if not path.is_dir()] for one, paths in images_by_id(folder).items()}
    for paths in found.values():
        if len(paths) > 1:
            one, other = (path.relative_to(folder).as_posix() for path in paths[:2])
            raise InvalidInput(f"{folder}: {one} and {other} would get the same mask file.", mend="Rename one of them.")
    samples = tuple(Sample(check_id(one, folder), paths[0]) for one, paths in found.items() if paths)
    if not samples:
        raise InvalidInput(f"{folder}: no image here; allowed are {listing(IMAGE_SUFFIXES, limit=10)}.{_hint(folder)}")
    return samples


def has_images_below(folder: Path) -> bool:
    """Tell whether folders below this one hold images, which `images_in` leaves out unless it is recursive."""
    return any(path.parent != folder for path in _below(folder))


def _below(folder: Path) -> Iterator[Path]:
    """Yield the images in a folder and in all below it, in a fixed order."""

    def refuse(error: OSError) -> None:
        raise InvalidInput(f"{error.filename}: can't be read ({error.strerror}).") from error

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and without_suffix(name) != name:
                yield Path(place) / name


def _id(path: Path) -> str:
    return SEPARATOR.join([*path.parts[:-1], without_suffix(path.name)])


def _hint(folder: Path) -> str:
    return " There are some in folders below it; --recursive takes them." if has_images_below(folder) else ""
