"""The images beside exported masks: copied, or linked to."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from wsss.errors import InvalidInput
from wsss.export.items import Item
from wsss.io.atomic import atomic_open, explain_os_errors


def put_images(items: Sequence[Item], folder: Path, how: Literal["copy", "link"] | None) -> None:
    """Copy the images into a folder under their ids, byte for byte, or make symbolic links to them there.

    Raises:
        InvalidInput: an image is not there.
        RunFailed: the folder can't be written to.
    """
    if how is None:
        return
    for item in items:
        if item.image is None or not item.image.is_file():
            raise InvalidInput(f"{item.id}: no image to copy ({item.image or 'its place is not known'}).")
        target = folder / item.file_name
        if how == "link":
            with explain_os_errors(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(item.image.resolve())
        else:
            with item.image.open("rb") as source, atomic_open(target) as file:
                shutil.copyfileobj(source, file)
