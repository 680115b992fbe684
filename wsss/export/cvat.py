"""CVAT's format "Segmentation mask 1.1": one zip of colour masks of classes and of objects, and their label map."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput
from wsss.export.items import Item, Masks, Options, Workshop, objects, refuse_characters
from wsss.export.labelmap import LABELMAP, labelmap
from wsss.io.atomic import atomic_open
from wsss.io.masks import IGNORE, voc_palette

if TYPE_CHECKING:
    from numpy.typing import NDArray

ARCHIVE = "segmentation_mask_1.1.zip"
SUBSET = "default"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time stamp of every file in the archive, the oldest a zip can hold: the same masks give the same bytes."""


def export(masks: Masks, options: Options, shop: Workshop) -> dict[str, Any]:
    """Write ``segmentation_mask_1.1.zip``; the masks are RGB, since CVAT goes by colours.

    Raises:
        InvalidInput: an id or a class name can't stand in the archive's lists, or a mask is broken; images are to be
            linked to, which a zip can't.
    """
    refuse_characters([item.id for item in masks.items], '"', "image id")
    labelmap(masks.classes, ignored=True)  # what it refuses should not be found last
    if options.images == "link":
        raise InvalidInput("--images link: a zip holds no links.", mend="Use --images copy, or leave --images out.")
    ignored = 0
    with atomic_open(shop.folder / ARCHIVE) as file, zipfile.ZipFile(file, "w") as archive:
        for item, (by_class, by_object, unsure) in zip(
            masks.items, shop.each(lambda item: _pictures(masks, item, options), masks.items), strict=True
        ):
            ignored += unsure
            _add(archive, f"SegmentationClass/{item.id}.png", by_class)
            _add(archive, f"SegmentationObject/{item.id}.png", by_object)
            if options.images is not None and item.image is not None:
                _add(archive, f"JPEGImages/{item.file_name}", item.image.read_bytes())
        lines = [f'"{item.id}"' if any(map(str.isspace, item.id)) else item.id for item in masks.items]
        _add(archive, f"ImageSets/Segmentation/{SUBSET}.txt", "".join(f"{line}\n" for line in lines).encode())
        _add(archive, LABELMAP, labelmap(masks.classes, ignored=ignored > 0).encode())
    return {}


def object_colours(count: int) -> NDArray[np.uint8]:
    """Return a colour for each of ``count`` objects and, first, black for none: ``(count + 1, 3)``, all different."""
    return voc_palette(count + 1)


def _pictures(masks: Masks, item: Item, options: Options) -> tuple[bytes, bytes, bool]:
    """Return the masks of classes and of objects as PNGs, and whether there are ignored pixels."""
    mask = masks.read(item, options)
    numbers = np.zeros(mask.shape, np.int64)
    count = 0
    for _, region in objects(mask, options):
        count += 1
        numbers[region] = count
    by_class = voc_palette()[masks.classes.decode(mask)]
    return _png(by_class), _png(object_colours(count)[numbers]), bool((mask == IGNORE).any())


def _png(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, EPOCH)
    info.create_system, info.external_attr = 3, 0o644 << 16  # the same on every system
    info.compress_type = zipfile.ZIP_STORED if name.endswith((".png", ".jpg", ".jpeg")) else zipfile.ZIP_DEFLATED
    archive.writestr(info, content)
