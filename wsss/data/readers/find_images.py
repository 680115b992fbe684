"""Image files of sample ids in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from wsss.data.sample_ids import without_suffix
from wsss.errors import InvalidInput, counted, listing, together
from wsss.io.rasters.image_kinds import IMAGE_SUFFIXES, OTHER_IMAGES, unsupported_reason

MISSING_HINT = "Restore the file, or delete its line; `wsss init --force` writes lists of the images that exist."


def images_by_id(folder: Path) -> dict[str, list[Path]]:
    """Return the images in a folder by id (file name without suffix); the caller handles duplicate ids.

    Raises:
        InvalidInput: the folder is missing or unreadable.
    """
    images: dict[str, list[Path]] = {}
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except NotADirectoryError as error:
        raise InvalidInput("not a folder", subject=folder, allowed="a folder of images") from error
    except FileNotFoundError as error:
        raise InvalidInput("no such folder of images", subject=folder) from error
    except OSError as error:
        raise InvalidInput(f"unreadable ({error.strerror})", subject=folder) from error
    for name in names:
        stem = without_suffix(name)
        if stem != name and not name.startswith("."):
            images.setdefault(stem, []).append(folder / name)
    return images


def unread_images(folder: Path) -> dict[str, str]:
    """Return the image files in a folder whose formats are not supported → the reason."""
    names = os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208 - faster; called at every start
    others = (name for name in names if os.path.splitext(name)[1].lower() in OTHER_IMAGES)  # noqa: PTH122
    return {name: unsupported_reason(name) or "" for name in sorted(others)}


def unread_note(folder: Path) -> str | None:
    """Return a line that names the image files in a folder whose formats are not supported, if there are any."""
    names = unread_images(folder)
    if not names:
        return None
    count = counted(len(names), "image file")
    return f"{folder}: {count} in unsupported formats skipped: {listing(names)}; convert them to JPEG or PNG."


def image_path(name: str, images: dict[str, list[Path]], *, where: object, folder: Path, complete: bool = True) -> Path:
    """Return the image of an id; in an incomplete dataset, a missing one is ``folder / name``.

    Raises:
        InvalidInput: no image in a ``complete`` dataset, or several (``a.jpg`` and ``a.png``).
    """
    paths = images.get(name, [])
    if not paths and not complete:
        return folder / name
    if not paths:
        others = [why for file, why in unread_images(folder).items() if file.rpartition(".")[0] == name]
        reason = f"the file exists, but {others[0]}" if others else f"supported: {', '.join(IMAGE_SUFFIXES)}"
        raise InvalidInput(f"no image {name!r} in {folder} ({reason})", subject=where, hint=MISSING_HINT)
    if len(paths) > 1:
        raise InvalidInput(
            f"image id {name!r} is ambiguous in {folder} (an id is a file name without suffix)",
            subject=where,
            allowed="one file",
            found=[path.name for path in paths],
            hint="Rename or delete all but one of them.",
        )
    return paths[0]


def require_images(ids: Iterable[tuple[str, object]], find: Callable[..., Path]) -> None:
    """Require an image for each id; one error lists all that are missing.

    Args:
        ids: ids, each with the line that lists it.
        find: `image_path` of the dataset; called with an id and ``where``.

    Raises:
        InvalidInput: missing or ambiguous images.
    """
    listed = dict(ids)
    errors = []
    for name, where in listed.items():
        try:
            find(name, where=where)
        except InvalidInput as error:
            errors.append(error)
    if errors:
        raise together(errors, len(listed), "listed images are missing or ambiguous")
