"""Config keys for folders of ground-truth masks, shared by several layouts."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pydantic import Field

from wsss.data.class_list import LabelNames
from wsss.data.mask_values import MaskNames, MaskValues, resolve
from wsss.data.readers.image_reading import ImageReadingConfig
from wsss.data.readers.layout import Log
from wsss.errors import InvalidInput, listing
from wsss.io.rasters.mask_files import MaskFiles, masks_by_id


class MaskFolderConfig(ImageReadingConfig):
    """Keys of ``data:`` for layouts with folders of ground-truth masks."""

    mask_values: MaskNames = Field(
        None,
        description="Mask value → class name, background or ignore, if the values are not class ids: "
        "{0: background, 255: road}; absent = class ids, and 255 is ignored.",
    )
    mask_suffix: str | None = Field(
        None,
        min_length=1,
        description="Ending of mask names before the file extension: _mask for <id>_mask.png; other files are ignored; "
        "absent = <id>, or one of the usual endings.",
    )


def find_masks(config: MaskFolderConfig, folder: Path, ids: Collection[str], *, required: bool) -> MaskFiles:
    """Find the masks of images in a folder.

    Args:
        config: see `MaskFolderConfig`.
        folder: the folder.
        ids: ids of all images.
        required: the folder must exist.

    Raises:
        InvalidInput: a required folder is missing; or see `wsss.io.rasters.mask_files.masks_by_id`.
    """
    if required and not folder.is_dir():
        raise InvalidInput(
            "no such folder", subject=f"data.masks: {folder}", hint="Set data.masks to the folder of the masks."
        )
    return masks_by_id(folder, ids, suffix=config.mask_suffix)


def resolve_mask_values(config: MaskFolderConfig, names: LabelNames, log: Log) -> MaskValues | None:
    """Return the meaning of the mask values; ``None`` if they are class ids.

    Raises:
        InvalidInput: see `wsss.data.mask_values.resolve`.
    """
    if config.mask_values is None:
        return None
    values = resolve(config.mask_values, names, where="data.mask_values")
    missing = [name for name, own in zip(names.classes.names, values.classes, strict=True) if not own]
    if missing:
        log(f"note: data.mask_values has no value for {listing(missing)}, so no mask shows it.")
    return values
