"""PASCAL VOC's layout: palette masks, lists of ids, a label map, and a class list that `wsss` reads back."""

from __future__ import annotations

from typing import Any

from wsss.export.images import put_images
from wsss.export.items import Item, Masks, Options, Workshop, refuse_characters
from wsss.export.labelmap import LABELMAP, labelmap
from wsss.io.atomic import write_text
from wsss.io.masks import IGNORE, write_mask

MASKS = "SegmentationClass"
IMAGES = "JPEGImages"
LISTS = "ImageSets/Segmentation"
ALL = "default"
"""Name of the list of images that belong to no split."""


def export(masks: Masks, options: Options, shop: Workshop) -> dict[str, Any]:
    """Write ``SegmentationClass/ID.png``, ``ImageSets/Segmentation/SPLIT.txt``, ``labelmap.txt`` and ``classes.txt``.

    Raises:
        InvalidInput: an id or a class name can't stand in these lists, or a mask is broken.
    """
    refuse_characters([item.id for item in masks.items], " \t\u00a0\u2028", "image id")
    labelmap(masks.classes, ignored=True)  # what it refuses should not be found last

    def work(item: Item) -> bool:
        mask = masks.read(item, options)
        write_mask(shop.folder / MASKS / f"{item.id}.png", masks.classes.decode(mask))
        return bool((mask == IGNORE).any())

    ignored = any(list(shop.each(work, masks.items)))
    write_text(shop.folder / LABELMAP, labelmap(masks.classes, ignored=ignored))
    lines = [
        f"{values[0]} {name}\n" for name, values in zip(masks.classes.names[1:], masks.classes.values[1:], strict=True)
    ]
    write_text(shop.folder / "classes.txt", "".join(lines))
    for split, ids in by_split(masks).items():
        write_text(shop.folder / LISTS / f"{split}.txt", "".join(f"{one}\n" for one in ids))
    put_images(masks.items, shop.folder / IMAGES, options.images)
    return {"splits": {split: len(ids) for split, ids in by_split(masks).items()}}


def by_split(masks: Masks) -> dict[str, list[str]]:
    """Return the ids of each split; those of none are in the split ``default``."""
    found: dict[str, list[str]] = {}
    for item in masks.items:
        for split in item.splits or (ALL,):
            found.setdefault(split, []).append(item.id)
    return found
