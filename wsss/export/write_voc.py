"""PASCAL VOC's layout: palette masks, lists of ids, a label map, and a class list that `wsss` reads back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wsss.export.export_items import Item, Masks, Options, Workshop
from wsss.export.image_copies import put_images
from wsss.export.labelmap import LABELMAP, labelmap
from wsss.export.naming import list_names, renamed
from wsss.io.files.atomic import write_text
from wsss.io.rasters.label_masks import IGNORE, write_mask

MASKS = "SegmentationClass"
IMAGES = "JPEGImages"
LISTS = "ImageSets/Segmentation"
ALL = "default"
"""Name of the list of images that belong to no split."""


def export(masks: Masks, options: Options, shop: Workshop) -> dict[str, Any]:
    """Write ``SegmentationClass/NAME.png``, ``ImageSets/Segmentation/SPLIT.txt``, ``labelmap.txt``, ``classes.txt``.

    Raises:
        InvalidInput: a class name can't stand in these files.
    """
    labelmap(masks.classes, ignored=True)  # what it refuses should not be found last
    names = list_names(masks.items)

    def work(item: Item) -> bool:
        mask = masks.read(item, options)
        write_mask(shop.folder / MASKS / f"{names[item.id]}.png", masks.classes.decode(mask))
        return bool((mask == IGNORE).any())

    found = list(shop.each(work, masks.items))
    exported = [item for item, _ in found]
    write_text(shop.folder / LABELMAP, labelmap(masks.classes, ignored=any(ignored for _, ignored in found)))
    lines = [
        f"{values[0]} {name}\n" for name, values in zip(masks.classes.names[1:], masks.classes.values[1:], strict=True)
    ]
    write_text(shop.folder / "classes.txt", "".join(lines))
    splits = by_split(exported)
    for split, members in splits.items():
        write_text(shop.folder / LISTS / f"{split}.txt", "".join(f"{names[one]}\n" for one in members))
    put_images(exported, shop.folder / IMAGES, options.with_images, lambda item: names[item.id] + item.suffix)
    shop.renamed.update(renamed(exported, names))
    return {"splits": {split: len(members) for split, members in splits.items()}}


def by_split(items: Sequence[Item]) -> dict[str, list[str]]:
    """Return the ids of each split; those of none are in the split ``default``."""
    found: dict[str, list[str]] = {}
    for item in items:
        for split in item.splits or (ALL,):
            found.setdefault(split, []).append(item.id)
    return found
