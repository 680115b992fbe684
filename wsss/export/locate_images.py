"""The images of masks in a folder that ``--images`` names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from wsss.data.readers.find_images import images_by_id, the_image
from wsss.data.readers.imagefolder import images_below
from wsss.errors import InvalidInput, counted
from wsss.export.export_items import Item


def images_by_name(folder: Path, items: Sequence[Item]) -> dict[str, Path]:
    """Return id → image, for the masks whose image is in ``folder`` as ID with any suffix of images.

    ``a__b`` is also the image ``a/b`` in a folder below. The masks themselves may lie there, too; they are not taken
    for images.

    Raises:
        InvalidInput: no such folder, no image of any mask, or several of one.
    """
    _check(folder)
    masks = {item.mask.resolve() for item in items}
    images = {
        one: [path for path in paths if path.resolve() not in masks] for one, paths in images_by_id(folder).items()
    }
    if any(not images.get(item.id) for item in items):
        images = {**images_below(folder), **{one: paths for one, paths in images.items() if paths}}
    known = [item.id for item in items if images.get(item.id)]
    found = {one: the_image(one, images, where="--images", folder=folder) for one in known}
    return _some(found, folder, len(items))


def images_by_file(folder: Path, files: Mapping[str, str]) -> dict[str, Path]:
    """Return id → image, for those of ``files`` (id → path relative to the folder) that are in ``folder``.

    Raises:
        InvalidInput: no such folder, or none of the files is there.
    """
    _check(folder)
    return _some(files_below(folder, files), folder, len(files))


def files_below(folder: Path, files: Mapping[str, str]) -> dict[str, Path]:
    """Return id → path, for those of ``files`` (id → path relative to the folder) that are there; maybe none."""
    return {one: folder / file for one, file in files.items() if (folder / file).is_file()}


def _check(folder: Path) -> None:
    if not folder.is_dir():
        beside = "; --with-images copy puts the images beside the masks" if str(folder) in ("copy", "link") else ""
        raise InvalidInput(f"--images {folder}: no such folder.", hint=f"Name the folder of the images{beside}.")


def _some(found: dict[str, Path], folder: Path, count: int) -> dict[str, Path]:
    if not found:
        raise InvalidInput(
            f"--images {folder}: no matching image for {counted(count, 'mask')}.",
            hint="Name the folder of the images, or leave --images out where no image is needed.",
        )
    return found
