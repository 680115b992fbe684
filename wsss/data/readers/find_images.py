"""Finding the image files of sample ids in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from wsss.data.sample_ids import without_suffix
from wsss.errors import InvalidInput, counted, listing, together
from wsss.io.rasters.image_kinds import IMAGE_SUFFIXES, OTHER_IMAGES, unread

MISSING_HINT = "Restore the file, or take its line out; `wsss init --force` writes lists of the images that exist."


def images_by_id(folder: Path) -> dict[str, list[Path]]:
    """Return the images in a folder by id (file name without suffix); several of one id are for the caller to judge.

    Raises:
        InvalidInput: there is no such folder.
    """
    found: dict[str, list[Path]] = {}
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except NotADirectoryError as error:
        raise InvalidInput(f"{folder}: a file; a folder of images is needed.") from error
    except FileNotFoundError as error:
        raise InvalidInput(f"{folder}: no such folder; the images are looked for there.") from error
    except OSError as error:
        raise InvalidInput(f"{folder}: can't be read ({error.strerror}).") from error
    for name in names:
        stem = without_suffix(name)
        if stem != name and not name.startswith("."):
            found.setdefault(stem, []).append(folder / name)
    return found


def unread_images(folder: Path) -> dict[str, str]:
    """Return the files in a folder that are images of kinds that aren't read → what they are."""
    names = sorted(entry.name for entry in os.scandir(folder)) if folder.is_dir() else []
    return {name: unread(name) or "" for name in names if PurePosixPath(name).suffix.lower() in OTHER_IMAGES}


def unread_note(folder: Path) -> str | None:
    """Return a line that names the image files in a folder that are left out, if there are any."""
    found = unread_images(folder)
    if not found:
        return None
    count = counted(len(found), "image file is", "image files are")
    return f"{folder}: {count} of kinds that are not read, left out: {listing(found)}; convert them to JPEG or PNG."


def the_image(name: str, images: dict[str, list[Path]], *, where: object, folder: Path, complete: bool = True) -> Path:
    """Return the one image of an id; where there need not be one, the place where it would be, without a suffix.

    Raises:
        InvalidInput: there is none in a ``complete`` dataset, or there are several (``a.jpg`` and ``a.png``).
    """
    paths = images.get(name, [])
    if not paths and not complete:
        return folder / name
    if not paths:
        others = [why for file, why in unread_images(folder).items() if file.rpartition(".")[0] == name]
        found = f"the file exists, but {others[0]}" if others else f"{', '.join(IMAGE_SUFFIXES)} are looked for"
        raise InvalidInput(
            f"{where}: image {name!r} is listed, and there is no such image in {folder} ({found}).",
            hint=MISSING_HINT,
        )
    if len(paths) > 1:
        raise InvalidInput(
            f"{where}: image {name!r} stands for {len(paths)} files in {folder}: "
            f"{listing(path.name for path in paths)}; an id is a file name without suffix.",
            hint="Rename or delete all but one of them.",
        )
    return paths[0]


def require_images(wanted: Iterable[tuple[str, object]], find: Callable[..., Path]) -> None:
    """Look for the images of all ids, so that one error names all that are missing.

    Args:
        wanted: ids, each with the place that lists it.
        find: `the_image` of the dataset: called with an id and ``where``.

    Raises:
        InvalidInput: names the first of the images that ``find`` refuses, and how many there are.
    """
    listed = dict(wanted)
    errors = []
    for name, where in listed.items():
        try:
            find(name, where=where)
        except InvalidInput as error:
            errors.append(error)
    if errors:
        raise together(errors, len(listed), "listed images can't be found")
