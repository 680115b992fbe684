"""COCO annotations (instances_*.json): an image has the labels of all categories annotated in it; masks aren't used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wsss.data.importing.jsonfile import kind, read_json
from wsss.data.importing.labels import Entry, Labels, class_name, collect
from wsss.data.importing.reading import Reading
from wsss.errors import InvalidInput
from wsss.io.masks import IGNORE, IGNORED_NAMES


def looks_like(content: Any) -> bool:
    """Whether a JSON document has COCO's three parts."""
    return isinstance(content, dict) and {"images", "annotations", "categories"} <= set(content)


def read(path: Path, *, reading: Reading | None = None) -> Labels:
    """Read COCO annotations. Crowds (``iscrowd``) count: the class is in the image.

    Ignored pixels, which `wsss.export.coco` writes as a category 255 that has crowds alone, are no class.

    An image that the file lists without any annotation has no class in it, since COCO's annotations are complete.
    Classes come in the order of their category ids.

    Raises:
        InvalidInput: names file and key.
    """
    reading = reading or Reading()
    content = read_json(path)
    if not looks_like(content):
        raise InvalidInput(f"{path}: no COCO annotations: the keys images, annotations and categories are required.")
    names: dict[int, str] = {}
    for number, category in enumerate(_list(content, "categories", path)):
        where = f"{path}: categories[{number}]"
        identity = _number(category, "id", where)
        if identity in names:
            raise InvalidInput(f"{where}.id: category {identity} is there twice.")
        names[identity] = class_name(_member(category, "name", where), f"{where}.name")
    files: dict[int, tuple[str, str]] = {}
    for number, image in enumerate(_list(content, "images", path)):
        where = f"{path}: images[{number}]"
        identity, file = _number(image, "id", where), _member(image, "file_name", where)
        if not isinstance(file, str) or not file:
            raise InvalidInput(f"{where}.file_name: found {kind(file)}; expected a file name.")
        if identity in files:
            raise InvalidInput(f"{where}.id: image {identity} is there twice; the first is {files[identity][0]!r}.")
        files[identity] = (file, where)
    objects: set[int] = set()
    found: dict[int, set[int]] = {identity: set() for identity in files}
    for number, annotation in enumerate(_list(content, "annotations", path)):
        where = f"{path}: annotations[{number}]"
        image_id, category_id = _number(annotation, "image_id", where), _number(annotation, "category_id", where)
        if image_id not in files:
            raise InvalidInput(f"{where}.image_id: there is no image with id {image_id}.")
        if category_id not in names:
            raise InvalidInput(f"{where}.category_id: there is no category with id {category_id}.")
        found[image_id].add(category_id)
        if annotation.get("iscrowd") != 1:
            objects.add(category_id)
    if names.get(IGNORE) in IGNORED_NAMES and IGNORE not in objects:
        reading.note("categories of ignored pixels, left out", f"{names.pop(IGNORE)} (id {IGNORE}, crowds alone)")
    order = sorted(names)
    entries = [
        Entry(file, tuple(dict.fromkeys(names[c] for c in order if c in found[identity])), where)
        for identity, (file, where) in files.items()
    ]
    if len(set(names.values())) < len(names):
        reading.note("categories of one name, joined", str(path))
    return collect("COCO annotations", entries, list(dict.fromkeys(names[c] for c in order)), reading=reading)


def _list(content: dict[str, Any], key: str, path: Path) -> list[Any]:
    if not isinstance(content[key], list):
        raise InvalidInput(f"{path}: {key}: found {kind(content[key])}; expected a list.")
    return list(content[key])


def _member(record: Any, key: str, where: str) -> Any:
    if not isinstance(record, dict):
        raise InvalidInput(f"{where}: found {kind(record)}; expected an object.")
    if key not in record:
        raise InvalidInput(f"{where}.{key}: this key is required and missing.")
    return record[key]


def _number(record: Any, key: str, where: str) -> int:
    value = _member(record, key, where)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(f"{where}.{key}: found {value!r}; expected a whole number.")
    return value
