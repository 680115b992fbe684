"""CVAT for images 1.1 (annotations.xml): an image has the labels of its tags, boxes, polygons and other shapes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wsss.data.importers.rules.collect_labels import collect
from wsss.data.importers.rules.imported_labels import Entry, Labels, class_name
from wsss.data.importers.rules.presence import without_negatives
from wsss.data.importers.rules.read_context import ReadContext
from wsss.errors import InvalidInput
from wsss.io.text.xml_files import read_xml

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_BYTES = 128_000_000
"""Maximum file size: tens of thousands of images with polygons. The parsed tree takes about ten times the memory."""

_NO_SUBSET = ("", "default")
"""CVAT's names for the subset of tasks without one."""


def read(path: Path, context: ReadContext) -> Labels:
    """Read an export of CVAT. Subsets of a project are splits; an image without annotations shows no class.

    Classes are in the order of the task's labels.

    Raises:
        InvalidInput: not an export of CVAT, or an image or a label without a name.
    """
    root = read_xml(path, max_bytes=MAX_BYTES)
    _refuse_others(path, root)
    images = root.findall("image")
    entries = [_entry(image, f"{path}: image[{number}]", context) for number, image in enumerate(images)]
    declared = [(element.findtext("name") or "").strip() for element in root.iterfind("meta//labels/label")]
    others = sorted({name for entry in entries for name in entry.labels or ()} - {*declared})
    entries, classes = without_negatives(entries, [*dict.fromkeys(filter(None, declared)), *others], context)
    return collect("CVAT for images (XML)", entries, context, classes=classes)


def _refuse_others(path: Path, root: Element) -> None:
    if root.tag == "annotation":
        raise InvalidInput(
            "a PASCAL VOC annotation of a single image",
            subject=path,
            allowed="a file with the labels of all images",
            hint="A folder in VOC layout (JPEGImages, Annotations, ImageSets) needs no import: data: {layout: voc, "
            "root: FOLDER} in a pipeline; or convert the annotations to COCO.",
        )
    if root.tag != "annotations":
        raise InvalidInput(
            "wrong root element", subject=path, found=root.tag, allowed="annotations, as exported by CVAT"
        )
    if root.find("image") is None and root.find("track") is not None:
        raise InvalidInput(
            "video exports are not supported", subject=path, hint="Export the frames as 'CVAT for images 1.1'."
        )


def _entry(image: Element, where: str, context: ReadContext) -> Entry:
    name = image.get("name", "")
    if not name:
        raise InvalidInput("missing attribute 'name'", subject=where)
    labels: list[str] = []
    for shape in image:
        label = shape.get("label")
        if label is not None:
            labels.append(class_name(label, where))
        if shape.tag != "tag":
            context.note("labels of shapes, read as labels of the image", shape.tag)
    subset = image.get("subset", "")
    return Entry(name, tuple(dict.fromkeys(labels)), where, None if subset.lower() in _NO_SUBSET else subset)
