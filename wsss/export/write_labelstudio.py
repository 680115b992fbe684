"""Label Studio tasks: a JSON file with brush masks, and the matching labelling interface."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from wsss.export.export_items import (
    Item,
    Masks,
    Options,
    Output,
    colours,
    name_of,
    objects,
    refuse_characters,
    value_of,
)
from wsss.export.image_copies import put_images
from wsss.io.files.atomic import write_pieces, write_text
from wsss.io.rasters.label_masks import IGNORE
from wsss.io.rasters.rle import Region, brush_rle

TASKS = "tasks.json"
INTERFACE = "label_config.xml"
IMAGES = "images"
JSON: dict[str, Any] = {"ensure_ascii": False, "allow_nan": False}
CONTROL, OBJECT = "label", "image"
"""Names of brush and image in the labelling interface, which every region refers to."""


def export(masks: Masks, options: Options, output: Output) -> dict[str, Any]:
    """Write ``tasks.json``, ``label_config.xml`` and, on request, the images in ``images/``.

    Raises:
        InvalidInput: a class name is not allowed in XML.
    """
    refuse_characters(masks.classes.foreground, "")

    def work(item: Item) -> list[dict[str, Any]]:
        mask = masks.read(item, options)
        return [
            _region(item, number, name_of(masks.classes, index), region)
            for number, (index, region) in enumerate(objects(mask, options))
        ]

    used: set[str] = set()
    exported: list[Item] = []
    regions_of: list[int] = []

    def pieces() -> Iterator[str]:
        for item, regions in output.each(work, masks.items):
            exported.append(item)
            regions_of.append(len(regions))
            used.update(label for region in regions for label in region["value"]["brushlabels"])
            yield ("[" if len(exported) == 1 else ", ") + json.dumps(_task(item, regions, masks, options), **JSON)
        yield "]\n" if exported else "[]\n"

    write_pieces(output.folder / TASKS, pieces())
    indices = list(range(1, len(masks.classes)))
    indices += [IGNORE] if name_of(masks.classes, IGNORE) in used else []
    write_text(output.folder / INTERFACE, interface(masks, indices))
    put_images(exported, output.folder / IMAGES, options.with_images)
    return {"regions": sum(regions_of)}


def _task(item: Item, regions: list[dict[str, Any]], masks: Masks, options: Options) -> dict[str, Any]:
    result: dict[str, Any] = {"result": regions}
    if options.role == "predictions":
        result["model_version"] = masks.name
    name = f"{IMAGES}/{item.file_name}" if options.with_images else item.file_name
    data = {"image": options.image_url + quote(name), "image_id": item.id}
    return {"data": data, options.role: [result]}


def interface(masks: Masks, indices: list[int]) -> str:
    """Return the labelling interface: the image, and a brush per class."""
    shown = colours(value_of(masks.classes, index) for index in indices)
    labels = "".join(
        f"    <Label value={quoteattr(name_of(masks.classes, index))} background={quoteattr(_hex(colour))}/>\n"
        for index, colour in zip(indices, shown, strict=True)
    )
    return (
        "<View>\n"
        f'  <Image name="{OBJECT}" value="$image" zoom="true" zoomControl="true"/>\n'
        f'  <BrushLabels name="{CONTROL}" toName="{OBJECT}">\n{labels}  </BrushLabels>\n'
        "</View>\n"
    )


def _region(item: Item, number: int, label: str, region: Region) -> dict[str, Any]:
    height, width = region.size
    return {
        "id": hashlib.sha256(f"{item.id}\0{number}".encode()).hexdigest()[:10],
        "type": "brushlabels",
        "from_name": CONTROL,
        "to_name": OBJECT,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": brush_rle(region), "brushlabels": [label]},
    }


def _hex(colour: tuple[int, int, int]) -> str:
    return "#" + bytes(colour).hex()
