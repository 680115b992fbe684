"""Detection of folders that contain only masks, with a hint to the command that accepts them."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np

from wsss.data.importers.listing import list_images
from wsss.errors import InvalidInput, counted
from wsss.io.files.stage_files import RECORD
from wsss.io.rasters.label_masks import IGNORE, voc_palette
from wsss.io.rasters.rgb_images import open_image

FEW = 32
"""Number of grey values, from 0 up, that masks without a palette may have besides 255; photographs have more."""


def masks_in(folder: Path) -> int:
    """Return the number of images below a folder if all of them are masks, otherwise 0.

    A mask has one channel: a palette with VOC's colours, or only grey values below `FEW` and 255. At least one holds
    two values or more: blank pictures do not count as masks.

    Raises:
        InvalidInput: the folder cannot be read.
    """
    files = list_images(folder).images
    several = False
    for file in files:
        values = _values(folder / file)
        if values is None:
            return 0
        several = several or len(values) > 1
    return len(files) if several else 0


def refuse_masks(folder: Path) -> None:
    """Reject a folder of masks where images are expected.

    Raises:
        InvalidInput: it contains only masks; names the command for them.
    """
    count = masks_in(folder)
    if count:
        raise InvalidInput(f"contains {counted(count, 'mask')} and no photographs", subject=folder, hint=_hint(folder))


def _hint(folder: Path) -> str:
    above = folder.parent
    if (above / RECORD).is_file():
        return f"To see them: {_shown(above)}. To check the images of its run: wsss data check {_word(above.parent)}"
    if (above / "images").is_dir():
        return f"Check the dataset that they belong to: wsss data check {_word(above)}"
    score = f"wsss score --pred {_word(folder)} --data.root DATASET"
    return f"To see them: {_shown(folder)} --images DIR. To score them: {score}"


def _shown(folder: Path) -> str:
    return f"wsss export {_word(folder)} --format overlay --out overlays"


def _word(path: Path) -> str:
    return shlex.quote(str(path))


def _values(path: Path) -> set[int] | None:
    """Return the values of a mask; ``None`` for another image, or one that cannot be read."""
    try:
        with open_image(path) as image:
            if image.mode not in ("P", "L", "1"):
                return None
            values = np.unique(np.asarray(image).astype(np.uint8))
            palette = image.getpalette() if image.mode == "P" else None
    except (InvalidInput, OSError, SyntaxError, ValueError):  # the check of photographs reports the problem
        return None
    if palette is not None and _is_voc(palette, values):
        return set(values.tolist())
    return set(values.tolist()) if np.all((values < FEW) | (values == IGNORE)) and image.mode != "P" else None


def _is_voc(palette: list[int], values: np.ndarray) -> bool:
    colours = np.asarray(palette, np.uint8).reshape(-1, 3)
    return bool(values.max() < len(colours) and (colours[values] == voc_palette()[values]).all())
