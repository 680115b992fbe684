"""A dataset's own masks: where its config says they are, and what their values mean."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pydantic import Field

from wsss.data.class_list import LabelNames
from wsss.data.masks.mask_values import MaskNames, MaskValues, resolve
from wsss.data.readers.layout import LayoutConfig, Log
from wsss.errors import InvalidInput, listing
from wsss.io.rasters.mask_files import MaskFiles, masks_by_id


class OwnMasksConfig(LayoutConfig):
    """The keys of ``data:`` that layouts share whose masks are files of the user's."""

    mask_values: MaskNames = Field(
        None,
        description="Mask value → class name, background or ignore, where values aren't the ids of the classes: "
        "{0: background, 255: road}; absent = ids, and 255 is ignored.",
    )
    mask_suffix: str | None = Field(
        None,
        min_length=1,
        description="Only files whose name ends in this, before the format, are masks: _mask for <id>_mask.png; "
        "absent = <id>, or else one of the usual ends.",
    )


def find_masks(config: OwnMasksConfig, folder: Path, ids: Collection[str], *, required: bool) -> MaskFiles:
    """Return the masks of images in a folder.

    Args:
        config: see `OwnMasksConfig`.
        folder: the folder.
        ids: of all images.
        required: the folder has to exist.

    Raises:
        InvalidInput: there is no such folder although it is required; or see `wsss.io.rasters.mask_files.masks_by_id`.
    """
    if required and not folder.is_dir():
        raise InvalidInput(f"data.masks: {folder}: no such folder.", hint="Set data.masks to the folder of the masks.")
    return masks_by_id(folder, ids, suffix=config.mask_suffix)


def own_values(config: OwnMasksConfig, names: LabelNames, log: Log) -> MaskValues | None:
    """Return what the values of the masks mean, ``None`` where they are the ids of the classes.

    Raises:
        InvalidInput: see `wsss.data.masks.mask_values.resolve`.
    """
    if config.mask_values is None:
        return None
    values = resolve(config.mask_values, names, where="data.mask_values")
    unseen = [name for name, own in zip(names.classes.names, values.classes, strict=True) if not own]
    if unseen:
        log(f"note: data.mask_values names no value for {listing(unseen)}: no mask shows it.")
    return values
