"""COCO annotations: a JSON file with masks as compressed run-length encodings."""

from __future__ import annotations

import json
from typing import Any

from wsss.export.export_items import Item, Masks, Options, Output, name_of, objects, value_of
from wsss.export.image_copies import put_images
from wsss.io.files.atomic import write_text
from wsss.io.rasters.label_masks import IGNORE
from wsss.io.rasters.rle import Region, coco_rle

ANNOTATIONS = "annotations.json"


def export(masks: Masks, options: Options, output: Output) -> dict[str, Any]:
    """Write ``annotations.json`` and, on request, the images in ``images/``.

    An annotation is an object of a class; its ``category_id`` is the value of the class in masks. Ignored pixels are an
    annotation with ``iscrowd`` 1, which COCO's evaluation and most readers skip.
    """

    def work(item: Item) -> tuple[tuple[int, int], list[dict[str, Any]]]:
        mask = masks.read(item, options)
        regions = [_annotation(value_of(masks.classes, index), region) for index, region in objects(mask, options)]
        return (mask.shape[0], mask.shape[1]), regions

    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    exported: list[Item] = []
    for item, (size, regions) in output.each(work, masks.items):
        exported.append(item)
        images.append({"id": len(images) + 1, "file_name": item.file_name, "height": size[0], "width": size[1]})
        for region in regions:
            annotations.append({"id": len(annotations) + 1, "image_id": len(images), **region})
    indices = list(range(1, len(masks.classes)))
    if any(annotation["category_id"] == IGNORE for annotation in annotations):
        indices.append(IGNORE)
    categories = [
        {"id": value_of(masks.classes, index), "name": name_of(masks.classes, index), "supercategory": ""}
        for index in indices
    ]
    document = {
        "info": {"description": masks.name},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }
    write_text(output.folder / ANNOTATIONS, json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
    put_images(exported, output.folder / "images", options.with_images)
    unknown = sum(item.suffix == "" for item in exported)
    return {"annotations": len(annotations), **({"images_without_suffix": unknown} if unknown else {})}


def _annotation(category: int, region: Region) -> dict[str, Any]:
    return {
        "category_id": category,
        "segmentation": coco_rle(region),
        "area": region.pixels,
        "bbox": list(region.box),
        "iscrowd": int(category == IGNORE),
    }
