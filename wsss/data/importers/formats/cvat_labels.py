"""CVAT for images 1.1 (annotations.xml): an image has the labels of its tags, boxes, polygons and other shapes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wsss.data.importers.rules.imported_labels import Entry, Labels, class_name, collect
from wsss.data.importers.rules.presence import without_no
from wsss.data.importers.rules.read_context import ReadContext
from wsss.errors import InvalidInput
from wsss.io.text.xmlfile import read_xml

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_BYTES = 128_000_000
"""Tens of thousands of images with polygons; the tree takes about ten times as much memory."""

FORMAT = "CVAT for images (XML)"
NO_SUBSET = ("", "default")
"""What CVAT calls the subset of tasks that aren't put into one."""


def read(path: Path, *, context: ReadContext | None = None) -> Labels:
    """Read an export of CVAT. A project's subsets are splits; an image without any annotation shows no class.

    Classes come in the order of the task's labels.

    Args:
        path: the file.
        context: rules in force.

    Raises:
        InvalidInput: no such export, or an image or label without a name.
    """
    context, root = context or ReadContext(), read_xml(path, most=MAX_BYTES)
    _refuse_others(path, root)
    images = root.findall("image")
    entries = [_entry(image, f"{path}: image[{number}]", context) for number, image in enumerate(images)]
    declared = [(element.findtext("name") or "").strip() for element in root.iterfind("meta//labels/label")]
    others = sorted({name for entry in entries for name in entry.labels or ()} - {*declared})
    classes = [*dict.fromkeys(filter(None, declared)), *others]
    return collect(FORMAT, *without_no(entries, classes, context), context=context)


def _refuse_others(path: Path, root: Element) -> None:
    """Refuse XML of other kinds by name.

    Raises:
        InvalidInput: PASCAL VOC's annotation of one image, CVAT for video, or something else.
    """
    if root.tag == "annotation":
        raise InvalidInput(
            f"{path}: PASCAL VOC's annotation of one image; a file of all images' labels is needed.",
            hint="A folder in VOC layout (JPEGImages, Annotations, ImageSets) is read as it is: data: {layout: voc, "
            "root: FOLDER} in a pipeline; or convert the annotations to COCO.",
        )
    if root.tag != "annotations":
        raise InvalidInput(f"{path}: the root element is {root.tag[:60]!r}; expected annotations, as CVAT exports it.")
    if root.find("image") is None and root.find("track") is not None:
        raise InvalidInput(f"{path}: CVAT for video.", hint="Export the frames as 'CVAT for images 1.1'.")


def _entry(image: Element, where: str, context: ReadContext) -> Entry:
    name = image.get("name", "")
    if not name:
        raise InvalidInput(f"{where}: the attribute name is missing.")
    labels: list[str] = []
    for shape in image:
        label = shape.get("label")
        if label is not None:
            labels.append(class_name(label, where))
        if shape.tag != "tag":
            context.note("shapes of other kinds than tags, read as: the class is in the image", shape.tag)
    subset = image.get("subset", "")
    return Entry(name, tuple(dict.fromkeys(labels)), where, None if subset.lower() in NO_SUBSET else subset)
