"""COCO annotations (instances_*.json, panoptic_*.json): an image has the labels of all categories annotated in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from wsss.data.importers.json.json_file import read_json, wrong_type
from wsss.data.importers.rules.collect_labels import collect
from wsss.data.importers.rules.imported_labels import Entry, Labels, any_present, class_name
from wsss.data.importers.rules.keys import require_key
from wsss.data.importers.rules.presence import without_negatives
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.readers.label_rules import Word
from wsss.errors import InvalidInput, counted
from wsss.io.rasters.label_masks import IGNORE, IGNORED_NAMES

PARTS = frozenset({"images", "annotations", "categories"})


class _Object(NamedTuple):
    """An annotated object; ``present`` is ``None`` if the score of a model leaves it open."""

    image: int
    category: int
    present: bool | None
    crowd: bool


def looks_like(content: Any) -> bool:
    """Return whether a JSON document has COCO's three parts, or is a COCO file without categories (captions)."""
    return isinstance(content, dict) and (set(content) >= PARTS or {"info", "images", "licenses"} <= set(content))


def read(path: Path, context: ReadContext) -> Labels:
    """Read COCO annotations. Crowds (``iscrowd``) count as objects; masks and boxes are not used.

    The category of ignored pixels, which `wsss.export.write_coco` writes as number 255 with crowds only, is not a
    class. The ``score`` of an annotation, written by a model, is a soft label.

    An image without annotations shows no class, since COCO's annotations are complete. Classes are in the order of
    their category ids. ``label_key`` may be another key of a category than ``name``, such as ``supercategory``.

    Raises:
        InvalidInput: names file and key.
    """
    content, label_key = read_json(path), context.options.label_key
    if not isinstance(content, dict) or not set(content) >= PARTS:
        raise InvalidInput(
            "not COCO annotations",
            subject=path,
            allowed="the keys images, annotations and categories",
            hint="Of COCO's files, instances_*.json and panoptic_*.json name classes; captions and image lists do not.",
        )
    names = _names(content, path, label_key)
    files = _files(content, path)
    presence: dict[int, dict[int, bool | None]] = {image: {} for image in files}
    with_objects: set[int] = set()
    for item in _objects(content, path, files, names, context):
        of_image = presence[item.image]
        of_image[item.category] = any_present(of_image.get(item.category, False), item.present)
        if not item.crowd:
            with_objects.add(item.category)
    own = _own_names(content)
    if own.get(IGNORE) in IGNORED_NAMES and IGNORE not in with_objects:
        context.note("categories of ignored pixels, left out", f"{own[IGNORE]} (id {IGNORE}, crowds only)")
        del names[IGNORE]
    if label_key is not None:
        for category in [id for id in names if _is_background(own.get(id), context)]:
            kind = "background categories, left out: every image has a background"
            context.note(kind, f"{own[category]} ({label_key}: {names.pop(category)})")
    if len(set(names.values())) < len(names):
        context.note("categories with the same name, merged", str(path))
    entries = [_entry(file, presence[image], names, where) for image, (file, where) in files.items()]
    order = dict.fromkeys(names[category] for category in sorted(names))
    entries, classes = without_negatives(entries, list(order), context)
    return collect("COCO annotations", entries, context, classes=classes)


def _names(content: dict[str, Any], path: Path, label_key: str | None) -> dict[int, str]:
    """Return category id → class name."""
    categories = _list(content, "categories", path)
    key = label_key or "name"
    if label_key is not None and categories and isinstance(categories[0], dict):
        require_key(label_key, categories[0], path, option="--label-key", what="key of a category")
    names: dict[int, str] = {}
    for number, category in enumerate(categories):
        where = f"{path}: categories[{number}]"
        identity = _number(category, "id", where)
        if identity in names:
            raise InvalidInput(f"duplicate category {identity}", subject=f"{where}.id")
        names[identity] = class_name(_member(category, key, where), f"{where}.{key}")
    return names


def _own_names(content: dict[str, Any]) -> dict[int, str]:
    """Return category id → ``name``, whichever key holds the class names."""
    named = [category for category in content["categories"] if isinstance(category.get("name"), str)]
    return {category["id"]: category["name"].strip() for category in named}


def _is_background(name: str | None, context: ReadContext) -> bool:
    return name is not None and context.rules.word(name) is Word.BACKGROUND


def _files(content: dict[str, Any], path: Path) -> dict[int, tuple[str, str]]:
    """Return image id → file name, and its location."""
    files: dict[int, tuple[str, str]] = {}
    for number, image in enumerate(_list(content, "images", path)):
        where = f"{path}: images[{number}]"
        identity, file = _number(image, "id", where), _member(image, "file_name", where)
        if not isinstance(file, str) or not file:
            raise wrong_type(file, f"{where}.file_name", "a file name")
        if identity in files:
            first = files[identity][0]
            raise InvalidInput(f"duplicate image {identity}; the first is {first!r}", subject=f"{where}.id")
        files[identity] = (file, where)
    return files


def _objects(
    content: dict[str, Any], path: Path, images: Collection[int], categories: Collection[int], context: ReadContext
) -> Iterator[_Object]:
    """Yield one object per annotation, or per segment of a panoptic annotation."""
    annotations = _list(content, "annotations", path)
    for number, annotation in enumerate(annotations):
        where = f"{path}: annotations[{number}]"
        image = _number(annotation, "image_id", where)
        if image not in images:
            raise _dangling(f"{where}.image_id", "image", image, annotations, images)
        parts = [(annotation, where)]
        if "segments_info" in annotation:
            segments = _list(annotation, "segments_info", where)
            parts = [(segment, f"{where}.segments_info[{at}]") for at, segment in enumerate(segments)]
        for part, at in parts:
            category = _number(part, "category_id", at)
            if category not in categories:
                raise _dangling(f"{at}.category_id", "category", category, _parts(annotations), categories)
            yield _Object(image, category, _present(part, at, context), part.get("iscrowd") == 1)


def _parts(annotations: list[Any]) -> list[Any]:
    """Return the annotations, or the segments of panoptic ones; invalid ones are skipped."""
    lists = (
        annotation.get("segments_info", [annotation]) if isinstance(annotation, dict) else []
        for annotation in annotations
    )
    return [part for parts in lists if isinstance(parts, list) for part in parts]


def _dangling(where: str, what: str, identity: int, parts: list[Any], known: Collection[int]) -> InvalidInput:
    """Return the error for annotations of an image or a category (``what``) that the file does not list."""
    ids = [part.get(f"{what}_id") for part in parts if isinstance(part, dict)]
    count = sum(isinstance(id, int) and id not in known for id in ids)
    plural = {"image": "images", "category": "categories"}[what]
    return InvalidInput(
        f"unknown {what} id {identity}; {count} of {counted(len(ids), 'annotation')} refer to unlisted {plural}",
        subject=where,
        hint=f"Add the missing {plural}, or remove these annotations. When creating a subset, filter both images and "
        "annotations.",
    )


def _present(part: dict[str, Any], where: str, context: ReadContext) -> bool | None:
    score = part.get("score")
    if score is None:
        return True
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise wrong_type(score, f"{where}.score", "a number from 0 to 1")
    return context.soft(score, f"{where}.score")


def _entry(file: str, presence: Mapping[int, bool | None], names: Mapping[int, str], where: str) -> Entry:
    """Return the entry of an image, its labels in the order of the categories."""
    kept = {category: presence[category] for category in sorted(presence) if category in names}
    present = tuple(dict.fromkeys(names[category] for category, value in kept.items() if value))
    unknown = tuple(dict.fromkeys(names[category] for category, value in kept.items() if value is None))
    scored = any(value is not True for value in kept.values())
    return Entry(file, present, where, unknown=unknown, explicit=scored)


def _list(content: dict[str, Any], key: str, where: object) -> list[Any]:
    if not isinstance(content[key], list):
        raise wrong_type(content[key], f"{where}: {key}", "a list")
    return list(content[key])


def _member(record: Any, key: str, where: str) -> Any:
    if not isinstance(record, dict):
        raise wrong_type(record, where, "an object")
    if key not in record:
        raise InvalidInput("missing key", subject=f"{where}.{key}")
    return record[key]


def _number(record: Any, key: str, where: str) -> int:
    value = _member(record, key, where)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(subject=f"{where}.{key}", found=value, allowed="an integer")
    return value
