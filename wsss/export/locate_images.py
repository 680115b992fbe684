"""Images of masks in the folder ``--images``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from wsss.data.readers.find_images import image_path, images_by_id
from wsss.data.readers.imagefolder import images_below
from wsss.errors import InvalidInput, counted
from wsss.export.export_items import Item


def images_by_name(folder: Path, items: Sequence[Item]) -> dict[str, Path]:
    """Return id → image, for the masks with an image in ``folder`` (ID with any image suffix).

    ``a__b`` also matches the image ``a/b`` in a subfolder. Masks in the same folder are skipped.

    Raises:
        InvalidInput: the folder does not exist, no mask has an image, or a mask has several.
    """
    _check(folder)
    masks = {item.mask.resolve() for item in items}
    images = {id: [path for path in paths if path.resolve() not in masks] for id, paths in images_by_id(folder).items()}
    if any(not images.get(item.id) for item in items):
        images = {**images_below(folder), **{id: paths for id, paths in images.items() if paths}}
    matched = [item.id for item in items if images.get(item.id)]
    return _require_some(
        {id: image_path(id, images, where="--images", folder=folder) for id in matched}, folder, len(items)
    )


def images_by_file(folder: Path, files: Mapping[str, str]) -> dict[str, Path]:
    """Return id → image, for the ``files`` (id → relative path) that exist in ``folder``.

    Raises:
        InvalidInput: the folder does not exist, or has none of the files.
    """
    _check(folder)
    return _require_some(files_below(folder, files), folder, len(files))


def files_below(folder: Path, files: Mapping[str, str]) -> dict[str, Path]:
    """Return id → path, for the ``files`` (id → relative path) that exist in ``folder``; may be empty."""
    return {id: folder / file for id, file in files.items() if (folder / file).is_file()}


def _check(folder: Path) -> None:
    if not folder.is_dir():
        copies = "; to copy them next to the masks, use --with-images copy" if str(folder) in ("copy", "link") else ""
        hint = f"Pass the folder of the images{copies}."
        raise InvalidInput("no such folder", subject=f"--images {folder}", hint=hint)


def _require_some(images: dict[str, Path], folder: Path, masks: int) -> dict[str, Path]:
    if not images:
        raise InvalidInput(
            f"no matching image for {counted(masks, 'mask')}",
            subject=f"--images {folder}",
            hint="Pass the folder of the images, or leave --images out if the format does not need them.",
        )
    return images
