"""PASCAL VOC layout: palette masks, lists of ids, a label map, and a class list that `wsss` reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wsss.export.export_items import Item, Masks, Options, Output
from wsss.export.image_copies import put_images
from wsss.export.labelmap import LABELMAP, labelmap
from wsss.export.naming import list_names, renamed
from wsss.io.files.atomic import write_text
from wsss.io.rasters.label_masks import IGNORE, write_mask

MASKS = "SegmentationClass"
IMAGES = "JPEGImages"
LISTS = "ImageSets/Segmentation"
ALL = "default"
"""Name of the list of images without a split."""


def export(masks: Masks, options: Options, output: Output) -> dict[str, Any]:
    """Write ``SegmentationClass/NAME.png``, ``ImageSets/Segmentation/SPLIT.txt``, ``labelmap.txt``, ``classes.txt``.

    Raises:
        InvalidInput: a class name is not allowed in these files.
    """
    labelmap(masks.classes, ignored=True)  # validates the class names first
    names = list_names(masks.items)

    def work(item: Item) -> bool:
        mask = masks.read(item, options)
        write_mask(output.folder / MASKS / f"{names[item.id]}.png", masks.classes.decode(mask))
        return bool((mask == IGNORE).any())

    results = list(output.each(work, masks.items))
    exported = [item for item, _ in results]
    write_text(output.folder / LABELMAP, labelmap(masks.classes, ignored=any(ignored for _, ignored in results)))
    lines = [
        f"{values[0]} {name}\n" for name, values in zip(masks.classes.names[1:], masks.classes.values[1:], strict=True)
    ]
    write_text(output.folder / "classes.txt", "".join(lines))
    splits = by_split(exported)
    for split, members in splits.items():
        write_text(output.folder / LISTS / f"{split}.txt", "".join(f"{names[id]}\n" for id in members))
    put_images(exported, output.folder / IMAGES, options.with_images, lambda item: names[item.id] + item.suffix)
    output.renamed.update(renamed(exported, names))
    return {"splits": {split: len(members) for split, members in splits.items()}}


def by_split(items: Sequence[Item]) -> dict[str, list[str]]:
    """Return split → ids; items without a split are in ``default``."""
    splits: dict[str, list[str]] = {}
    for item in items:
        for split in item.splits or (ALL,):
            splits.setdefault(split, []).append(item.id)
    return splits
