"""COCO annotations (instances_*.json, panoptic_*.json): an image has the labels of all categories annotated in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from wsss.data.importers.json.json_file import kind, read_json
from wsss.data.importers.rules.imported_labels import Entry, Labels, class_name, collect, either
from wsss.data.importers.rules.keys import require_key
from wsss.data.importers.rules.presence import without_no
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.readers.label_rules import Word
from wsss.errors import InvalidInput, counted
from wsss.io.rasters.label_masks import IGNORE, IGNORED_NAMES

BACKGROUND = "categories of the background, left out: every image has a background"
PARTS = frozenset({"images", "annotations", "categories"})


class _Object(NamedTuple):
    """Something annotated: in which image, of which category; ``there`` is ``None`` where a model was not sure."""

    image: int
    category: int
    there: bool | None
    crowd: bool


def looks_like(content: Any) -> bool:
    """Whether a JSON document has COCO's three parts, or is one of COCO's files without categories (captions)."""
    return isinstance(content, dict) and (set(content) >= PARTS or {"info", "images", "licenses"} <= set(content))


def read(path: Path, *, label_key: str | None = None, context: ReadContext | None = None) -> Labels:
    """Read COCO annotations. Crowds (``iscrowd``) count: the class is in the image; masks and boxes aren't used.

    Ignored pixels, which `wsss.export.write_coco` writes as a category 255 that has crowds alone, are no class. An
    annotation with a ``score`` is a model's, and is read as a soft label.

    An image that the file lists without any annotation has no class in it, since COCO's annotations are complete.
    Classes come in the order of their category ids.

    Args:
        path: the file.
        label_key: key of a category that names the class, such as ``supercategory``; by default ``name``.
        context: rules in force.

    Raises:
        InvalidInput: names file and key.
    """
    context, content = context or ReadContext(), read_json(path)
    if not isinstance(content, dict) or not set(content) >= PARTS:
        raise InvalidInput(
            f"{path}: no COCO annotations: the keys images, annotations and categories are required.",
            hint="Of COCO's files, instances_*.json and panoptic_*.json name classes; captions and image lists don't.",
        )
    names = _names(content, path, label_key)
    files = _files(content, path)
    found: dict[int, dict[int, bool | None]] = {identity: {} for identity in files}
    objects: set[int] = set()
    for one in _objects(content, path, files, names, context):
        there = found[one.image]
        there[one.category] = either(there.get(one.category, False), one.there)
        objects |= set() if one.crowd else {one.category}
    own = _own_names(content)
    if own.get(IGNORE) in IGNORED_NAMES and IGNORE not in objects:
        context.note("categories of ignored pixels, left out", f"{own[IGNORE]} (id {IGNORE}, crowds alone)")
        del names[IGNORE]
    for category in [] if label_key is None else [one for one in names if _is_background(own.get(one), context)]:
        context.note(BACKGROUND, f"{own[category]} ({label_key}: {names.pop(category)})")
    if len(set(names.values())) < len(names):
        context.note("categories of one name, joined", str(path))
    entries = [_entry(file, found[identity], names, where) for identity, (file, where) in files.items()]
    order = dict.fromkeys(names[category] for category in sorted(names))
    return collect("COCO annotations", *without_no(entries, list(order), context), context=context)


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
            raise InvalidInput(f"{where}.id: duplicate category {identity}.")
        names[identity] = class_name(_member(category, key, where), f"{where}.{key}")
    return names


def _own_names(content: dict[str, Any]) -> dict[int, str]:
    """Return category id → ``name``, whichever key names the classes."""
    named = [one for one in content["categories"] if isinstance(one.get("name"), str)]
    return {one["id"]: one["name"].strip() for one in named}


def _is_background(name: str | None, context: ReadContext) -> bool:
    return name is not None and context.rules.word(name) is Word.BACKGROUND


def _files(content: dict[str, Any], path: Path) -> dict[int, tuple[str, str]]:
    """Return image id → file name and where the file says so."""
    files: dict[int, tuple[str, str]] = {}
    for number, image in enumerate(_list(content, "images", path)):
        where = f"{path}: images[{number}]"
        identity, file = _number(image, "id", where), _member(image, "file_name", where)
        if not isinstance(file, str) or not file:
            raise InvalidInput(f"{where}.file_name: found {kind(file)}; expected a file name.")
        if identity in files:
            raise InvalidInput(f"{where}.id: duplicate image {identity}; the first is {files[identity][0]!r}.")
        files[identity] = (file, where)
    return files


def _objects(
    content: dict[str, Any], path: Path, images: Collection[int], categories: Collection[int], context: ReadContext
) -> Iterator[_Object]:
    """Yield what is annotated: one object per annotation, or per segment of a panoptic one."""
    annotations = _list(content, "annotations", path)
    for number, annotation in enumerate(annotations):
        where = f"{path}: annotations[{number}]"
        image = _number(annotation, "image_id", where)
        if image not in images:
            raise _dangling(f"{where}.image_id", "image", image, annotations, images)
        if "segments_info" in annotation:
            segments = _list(annotation, "segments_info", where)
            parts = [(segment, f"{where}.segments_info[{at}]") for at, segment in enumerate(segments)]
        else:
            parts = [(annotation, where)]
        for part, place in parts:
            category = _number(part, "category_id", place)
            if category not in categories:
                raise _dangling(f"{place}.category_id", "category", category, _parts(annotations), categories)
            yield _Object(image, category, _there(part, place, context), part.get("iscrowd") == 1)


def _parts(annotations: list[Any]) -> list[Any]:
    """Return the annotations, or the segments of panoptic ones; what is none of them fails when it is read."""
    lists = (one.get("segments_info", [one]) if isinstance(one, dict) else [] for one in annotations)
    return [part for parts in lists if isinstance(parts, list) for part in parts]


def _dangling(where: str, what: str, identity: int, parts: list[Any], known: Collection[int]) -> InvalidInput:
    """Return the error for annotations of an image or a category that the file doesn't list.

    Args:
        where: of the first one.
        what: ``"image"`` or ``"category"``.
        identity: that it names.
        parts: all annotations.
        known: ids that exist.
    """
    found = [part.get(f"{what}_id") for part in parts if isinstance(part, dict)]
    count = sum(isinstance(one, int) and one not in known for one in found)
    plural = {"image": "images", "category": "categories"}[what]
    return InvalidInput(
        f"{where}: there is no {what} with id {identity} ({counted(count, 'annotation')} of {len(found)} refer to "
        f"{plural} that the file doesn't list).",
        hint=f"Add the missing entries to the key {plural}, or remove these annotations; a subset has to be cut from "
        "images and annotations alike.",
    )


def _there(part: dict[str, Any], where: str, context: ReadContext) -> bool | None:
    score = part.get("score")
    if score is None:
        return True
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise InvalidInput(f"{where}.score: found {kind(score)}; expected a number from 0 to 1.")
    return context.soft(score, f"{where}.score")


def _entry(file: str, found: Mapping[int, bool | None], names: Mapping[int, str], where: str) -> Entry:
    """Return an image's entry; its labels come in the order of the categories."""
    kept = {category: found[category] for category in sorted(found) if category in names}
    present = tuple(dict.fromkeys(names[category] for category, there in kept.items() if there))
    unknown = tuple(dict.fromkeys(names[category] for category, there in kept.items() if there is None))
    scored = any(there is not True for there in kept.values())
    return Entry(file, present, where, unknown=unknown, explicit=scored)


def _list(content: dict[str, Any], key: str, where: object) -> list[Any]:
    if not isinstance(content[key], list):
        raise InvalidInput(f"{where}: {key}: found {kind(content[key])}; expected a list.")
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
