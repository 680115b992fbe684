"""Images next to exported masks, as copies or links."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from wsss.errors import InvalidInput
from wsss.export.export_items import UNKNOWN_IMAGES, Item
from wsss.io.files.atomic import atomic_open, convert_os_errors


def require_file(item: Item, purpose: str) -> None:
    """Require that the image of an item exists.

    Raises:
        InvalidInput: the image is unknown or missing.
    """
    if item.image is None or not item.image.is_file():
        why = "is unknown" if item.image is None else f"is missing: {item.image}"
        raise InvalidInput(f"{purpose} needs the image, which {why}", subject=item.id, hint=UNKNOWN_IMAGES)


def put_images(
    items: Sequence[Item],
    folder: Path,
    how: Literal["copy", "link"] | None,
    name: Callable[[Item], str] = lambda item: item.file_name,
) -> None:
    """Copy the images into a folder, or create symbolic links to them.

    Args:
        items: items with existing images (`require_file`).
        how: ``None``: do nothing.
        name: item → file name; the first of two images with the same name is used.

    Raises:
        RunFailed: the folder cannot be written.
    """
    for item in items if how is not None else ():
        target = folder / name(item)
        if item.image is None or target.is_symlink() or target.exists():
            continue
        if how == "link":
            with convert_os_errors(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(item.image.resolve())
        else:
            with item.image.open("rb") as source, atomic_open(target) as file:
                shutil.copyfileobj(source, file)
