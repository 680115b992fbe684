"""A folder of images without labels or splits, as input of a trained network."""

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
from wsss.errors import InvalidInput, counted, listing
from wsss.io.files.visible import SYSTEM_FOLDERS
from wsss.io.rasters.image_kinds import IMAGE_SUFFIXES, unsupported_reason
from wsss.io.rasters.rgb_images import frames, image_errors, open_image
from wsss.io.utf8 import is_utf8

ANIMATED = (".webp",)
"""Supported formats whose files may contain several frames; animated GIFs are rejected."""


@dataclass(frozen=True)
class ImageFolder:
    """The images in a folder.

    Args:
        samples: in the order of their names.
        renamed: id → path relative to the folder, for images whose id is not their name; see `wsss.data.image_ids`.
        undecodable: escaped names of images that are skipped because their name is not UTF-8.
        unreadable: unreadable subfolders, with the reason.
    """

    samples: tuple[Sample, ...]
    renamed: Mapping[str, str]
    undecodable: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


def images_in(folder: Path, *, recursive: bool = False) -> ImageFolder:
    """Return the images in a folder.

    Args:
        folder: the folder; hidden files and folders are skipped.
        recursive: search subfolders too; ``a/b.jpg`` gets the id ``a__b``. Links to folders are not followed.

    Raises:
        InvalidInput: a missing folder, or no image in it.
    """
    images: dict[str, Path] = {}
    undecodable: list[str] = []
    unreadable: list[str] = []
    for path in _below(folder, unreadable=unreadable) if recursive else _directly(folder):
        relative = path.relative_to(folder)
        if is_utf8(str(relative)):
            images[relative.as_posix()] = path
        else:
            undecodable.append(repr(str(relative)))
    if not images:
        raise InvalidInput(
            "no images", subject=folder, allowed=f"files of the formats {', '.join(IMAGE_SUFFIXES)}", hint=_hint(folder)
        )
    ids = image_ids(list(images), folders=True)
    samples = tuple(Sample(ids[file], path) for file, path in images.items())
    return ImageFolder(
        samples, {name: file for file, name in renamed(ids).items()}, tuple(undecodable), tuple(unreadable)
    )


def skip_notes(folder: Path, *, recursive: bool = False) -> list[str]:
    """Return one sentence for each reason why `images_in` skips files that may be relevant."""
    notes = []
    others = other_images(folder, recursive=recursive)
    if others:
        notes.append(f"{counted(len(others), 'image file')} in {folder} skipped: {_with_reasons(others)}.")
    several = several_frames(folder, recursive=recursive)
    if several:
        notes.append(f"only the first frame is used: {listing(several)}.")
    hidden = [path.relative_to(folder).as_posix() for path in _below(folder, hidden=True, deep=recursive)]
    if hidden:
        notes.append(f"hidden images in {folder} skipped: {listing(hidden)}.")
    links = skipped_folders(folder) if recursive else []
    if links:
        notes.append(f"links to folders and system folders skipped: {listing(links)}.")
    if not recursive and has_images_below(folder):
        notes.append(f"images in subfolders of {folder} skipped; use --recursive to include them.")
    return notes


def other_images(folder: Path, *, recursive: bool = False) -> dict[str, str]:
    """Return the image files (relative paths) in unsupported formats → the reason."""
    return {
        (parent / name).relative_to(folder).as_posix(): reason
        for parent, names in _walk(folder, deep=recursive)
        for name in names
        if not name.startswith(".") and (reason := unsupported_reason(name)) is not None
    }


def several_frames(folder: Path, *, recursive: bool = False) -> list[str]:
    """Return the WebP files (relative paths) that contain several images."""
    animated = []
    for path in _below(folder) if recursive else _directly(folder):
        if path.suffix.lower() in ANIMATED:
            with suppress(InvalidInput), open_image(path, decode=False) as image, image_errors(path):
                if frames(image) > 1:
                    animated.append(path.relative_to(folder).as_posix())
    return animated


def skipped_folders(folder: Path) -> list[str]:
    """Return the subfolders (relative paths) that a recursive search skips: links and system folders."""
    return [
        path.relative_to(folder).as_posix()
        for parent, folders, _ in os.walk(folder)
        for path in (Path(parent) / name for name in sorted(folders))
        if path.is_symlink() or path.name.casefold() in SYSTEM_FOLDERS
    ]


def images_below(folder: Path) -> dict[str, list[Path]]:
    """Return the images in subfolders by id, as in `images_in`."""
    images: dict[str, list[Path]] = {}
    for path in _below(folder):
        if path.parent != folder:
            images.setdefault(image_id(path.relative_to(folder).as_posix()), []).append(path)
    return images


def has_images_below(folder: Path) -> bool:
    """Return whether subfolders contain images."""
    return any(path.parent != folder for path in _below(folder))


def subfolder_note(folder: Path, *, masks: Path) -> str | None:
    """Return a line that counts the images in subfolders, which only ``data.files`` reads, if there are any.

    Args:
        masks: folder of ground-truth masks, which are not images.
    """
    below = (name for parent, names in _walk(folder, left_out=masks) if parent != folder for name in names)
    count = sum(not name.startswith(".") and _is_read(name) for name in below)
    if not count:
        return None
    return (
        f"{folder}: {counted(count, 'image')} in subfolders not read: list them in a table image_id,file (data.files), "
        "or use wsss init."
    )


def _is_read(name: str) -> bool:
    return without_suffix(name) != name and unsupported_reason(name) is None


def _directly(folder: Path) -> list[Path]:
    paths = (path for paths in images_by_id(folder).values() for path in paths)
    return [path for path in paths if not path.is_dir() and _is_read(path.name)]


def _below(
    folder: Path, *, hidden: bool = False, deep: bool = True, unreadable: list[str] | None = None
) -> Iterator[Path]:
    """Yield the images in a folder and its subfolders in a fixed order.

    Args:
        hidden: yield only hidden images instead of only visible ones.
        unreadable: receives the unreadable subfolders.
    """
    for parent, names in _walk(folder, hidden=hidden, deep=deep, unreadable=unreadable):
        inside = any(part.startswith(".") for part in parent.relative_to(folder).parts)
        for name in names:
            if (inside or name.startswith(".")) == hidden and _is_read(name):
                yield parent / name


def _walk(
    folder: Path,
    *,
    hidden: bool = False,
    deep: bool = True,
    unreadable: list[str] | None = None,
    left_out: Path | None = None,
) -> Iterator[tuple[Path, list[str]]]:
    """Yield ``folder`` and its subfolders, each with its sorted file names.

    Args:
        left_out: a subfolder that is not searched.
    """
    outside = None if left_out is None else left_out.resolve()

    def note(error: OSError) -> None:
        if Path(str(error.filename)) == folder:
            raise InvalidInput(f"unreadable ({error.strerror})", subject=folder) from error
        if unreadable is not None:
            unreadable.append(f"{error.filename} ({error.strerror})")

    for parent, folders, names in os.walk(folder, onerror=note):
        folders[:] = sorted(
            name
            for name in folders
            if deep
            and (hidden or not name.startswith("."))
            and name.casefold() not in SYSTEM_FOLDERS
            and (outside is None or Path(parent, name).resolve() != outside)
        )
        yield Path(parent), sorted(names)


def _with_reasons(files: Mapping[str, str]) -> str:
    return listing(f"{name} ({reason})" for name, reason in files.items())


def _hint(folder: Path) -> str | None:
    others = other_images(folder)
    hints = [
        *(["There are images in subfolders; use --recursive to include them."] if has_images_below(folder) else []),
        *([f"Unsupported: {_with_reasons(others)}."] if others else []),
    ]
    return " ".join(hints) or None
