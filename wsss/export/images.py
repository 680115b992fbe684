"""The images beside exported masks: copied, or linked to."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from wsss.errors import InvalidInput
from wsss.export.items import WHERE, Item
from wsss.io.atomic import atomic_open, explain_os_errors


def check_images(items: Sequence[Item]) -> None:
    """Make certain, before anything is written, that there is an image of every mask.

    Raises:
        InvalidInput: one is not there.
    """
    for item in items:
        if item.image is None or not item.image.is_file():
            where = f"{item.image}: no such file" if item.image is not None else "where it is isn't known"
            raise InvalidInput(
                f"--images: there is no image of {item.id} to put beside its mask ({where}).",
                mend=WHERE,
            )


def put_images(items: Sequence[Item], folder: Path, how: Literal["copy", "link"] | None) -> None:
    """Copy the images into a folder under their ids, byte for byte, or make symbolic links to them there.

    Args:
        items: as `check_images` lets pass.
        folder: where they go.
        how: nothing is done for ``None``.

    Raises:
        RunFailed: the folder can't be written to.
    """
    for item in items:
        if how is None or item.image is None:
            continue
        target = folder / item.file_name
        if how == "link":
            with explain_os_errors(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(item.image.resolve())
        else:
            with item.image.open("rb") as source, atomic_open(target) as file:
                shutil.copyfileobj(source, file)
