"""The images beside exported masks: copied, or linked to."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from wsss.errors import InvalidInput
from wsss.export.export_items import WHERE, Item
from wsss.io.files.atomic import atomic_open, explain_os_errors


def require_file(item: Item, why: str) -> None:
    """Make certain that an item's image is there.

    Raises:
        InvalidInput: it is not.
    """
    if item.image is None or not item.image.is_file():
        where = f"{item.image}: no such file" if item.image is not None else "its image is not known"
        raise InvalidInput(f"{item.id}: {why}; {where}.", hint=WHERE)


def put_images(
    items: Sequence[Item],
    folder: Path,
    how: Literal["copy", "link"] | None,
    name: Callable[[Item], str] = lambda item: item.file_name,
) -> None:
    """Copy the images into a folder, byte for byte, or make symbolic links to them there.

    Args:
        items: with images that are there (`require_file`).
        folder: where they go.
        how: nothing is done for ``None``.
        name: what an image is called in the folder; of two that share a name the first is taken.

    Raises:
        RunFailed: the folder can't be written to.
    """
    for item in items if how is not None else ():
        target = folder / name(item)
        if item.image is None or target.is_symlink() or target.exists():
            continue
        if how == "link":
            with explain_os_errors(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(item.image.resolve())
        else:
            with item.image.open("rb") as source, atomic_open(target) as file:
                shutil.copyfileobj(source, file)
