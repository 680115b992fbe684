"""Labels in plain JSON: an object ``{image: [names]}`` or ``{image: {name: 0 or 1}}``, or a list of records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wsss.data.importers.json.json_file import parse_json, read_bounded, read_json, wrong_type
from wsss.data.importers.json.json_labels import (
    cell_of,
    flags_in,
    has_string,
    is_flag,
    labels_in,
    with_numbers_as_names,
)
from wsss.data.importers.json.json_objects import presence_of_objects
from wsss.data.importers.json.json_shapes import records_key, refuse_files_per_class
from wsss.data.importers.rules import wide_tables
from wsss.data.importers.rules.cells import separator_of
from wsss.data.importers.rules.collect_labels import collect
from wsss.data.importers.rules.imported_labels import Entry, Labels, class_name, explicit_entry
from wsss.data.importers.rules.keys import IMAGE_HINT, LABEL_HINT, columns_of, image_key, label_key_of, label_keys
from wsss.data.importers.rules.presence import is_of_one_class, yes_and_no
from wsss.data.importers.rules.presence_column import PresenceColumn, apply_presence, default_flag, presence_column
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.importers.rules.split_names import split_in, split_keys
from wsss.data.readers.label_rules import BOX_KEYS, CONFIDENCE_KEYS, IMAGE_KEYS, LABEL_KEYS, find_key, is_one_of
from wsss.errors import InvalidInput

_LIST = "a list of records (JSON)"
_OBJECTS = "objects"
"""Key of the boxes and their classes in Hugging Face's ImageFolder: ``{"bbox": [...], "categories": [...]}``."""

_ABSENT_HINT = (
    "Give each record its labels, [] for none. Label Studio omits the key if nothing was chosen; for its exports: "
    "--format label-studio"
)

Record = tuple[str, dict[str, Any]]
"""Location, and key → value."""


class _Image(NamedTuple):
    """An image with its labels as in the file, the location of the record, and that of the labels."""

    name: str
    labels: Any
    where: str
    labels_at: str
    split: str | None = None


def read(path: Path, context: ReadContext) -> Labels:
    """Read ``{"a.jpg": ["cat", "dog"], …}`` or ``[{"image": "a.jpg", "labels": ["cat"]}, …]``.

    Raises:
        InvalidInput: names file and key.
    """
    content, label_key = read_json(path), context.options.label_key
    if isinstance(content, list):
        rows = [(f"{path}: [{number}]", record) for number, record in enumerate(content)]
        return read_records(path, rows, _LIST, context)
    if not isinstance(content, dict):
        raise wrong_type(content, path, "an object {image: [class names]} or a list of records")
    key = records_key(path, content, context)
    if key is not None:
        rows = [(f"{path}: {key}[{number}]", record) for number, record in enumerate(content[key])]
        return read_records(path, rows, _LIST, context)
    refuse_files_per_class(path, content)
    images = _from_object(path, content, context)
    names = label_key is not None and is_one_of(label_key, LABEL_KEYS)
    return _collect(path, images, "an object of labels (JSON)", context, names=names)


def read_lines(path: Path, context: ReadContext) -> Labels:
    """Read ``{"file_name": "a.jpg", "label": "cat"}``, a record per line; the labels may also be in ``objects``.

    This is ``metadata.jsonl`` of Hugging Face's ImageFolder.

    Raises:
        InvalidInput: names file and line.
    """
    lines = enumerate(read_bounded(path).split("\n"), start=1)  # other line breaks may be part of a string
    records = [(f"{path}:{number}", parse_json(line, path, first=number)) for number, line in lines if line.strip()]
    return read_records(path, records, "a record per line (JSON Lines)", context)


def _from_object(path: Path, content: dict[str, Any], context: ReadContext) -> list[_Image]:
    """Return the images of ``{image: labels}`` or ``{image: {label_key: labels, …}}``."""
    label_key = context.options.label_key
    keyed = label_key is not None and all(isinstance(value, dict) and label_key in value for value in content.values())
    for option, key in (("--image-key", context.options.image_key), ("--label-key", None if keyed else label_key)):
        if key is not None:
            raise InvalidInput(
                "no effect, because the file is an object {image: labels}, whose keys are images",
                subject=f"{path}: {option}",
                found=key,
                hint=f"Omit {option}.",
            )
    at = {image: f"{path}: {image}" for image in content}
    if keyed:
        return [_Image(i, value[label_key], at[i], f"{at[i]}.{label_key}") for i, value in content.items()]
    return [_Image(image, value, at[image], at[image]) for image, value in content.items()]


def read_records(path: Path, records: Sequence[tuple[str, Any]], format: str, context: ReadContext) -> Labels:
    """Return the labels of records, each with its location; see `read`.

    Raises:
        InvalidInput: names file and key.
    """
    for where, record in records:
        if not isinstance(record, dict):
            raise wrong_type(record, where, "a record with an image and its labels")
    columns, label_key = columns_of(record for _, record in records), context.options.label_key
    chosen = label_keys(label_key, columns, path) if label_key is not None and columns else ()
    keys = chosen or _default_keys([record for _, record in records], path, context)
    flags = len(keys) == 1 and _is_of_one_class(keys[0], columns, len(records), context, chosen=bool(chosen))
    if flags or len(chosen) > 1 or (not keys and records and _is_wide([record for _, record in records])):
        if context.options.separator is not None:
            raise _no_strings(path, "the records have a key per class")
        empty = dict.fromkeys(columns, "")
        lines = [(where, empty | {key: cell_of(value) for key, value in record.items()}) for where, record in records]
        return wide_tables.read(path, lines, keys, context)
    image = image_key(columns, path, context)
    usual = not chosen and find_key(keys, LABEL_KEYS) is not None  # records may have different ones
    images = list(_from_records(records, image, LABEL_KEYS if usual or not keys else keys, context))
    presence = _presence(path, records, keys, image, context, chosen=bool(chosen))
    ids = presence or find_key(columns, CONFIDENCE_KEYS) or find_key(columns, BOX_KEYS) or _OBJECTS in columns
    names = bool(ids) or find_key(chosen, LABEL_KEYS) is not None
    return _collect(path, images, format, context, presence, names=names)


def _collect(
    path: Path,
    images: Sequence[_Image],
    format: str,
    context: ReadContext,
    presence: PresenceColumn | None = None,
    *,
    names: bool,
) -> Labels:
    """Return the labels of all images; ``names``: labels such as 0 and 1 are class names."""
    separator = context.options.separator
    if separator is not None and not any(has_string(image.labels) for image in images):
        raise _no_strings(path, "no labels are strings")
    if separator is None:
        separator = separator_of(image.labels for image in images if isinstance(image.labels, str))
        if separator is not None:
            context.note(f"strings with {separator!r}, read as several labels", f"{path} (--separator SEP: another)")
    flags = [flag for image in images for flag in (flags_in(image.labels) or {}).values()]
    context.resolve_minus_one(map(cell_of, flags), str(path))
    entries = [_entry(image, separator, context) for image in images]
    entries = entries if names else yes_and_no(entries, context)
    return collect(format, apply_presence(entries, presence, context), context)


def _no_strings(path: Path, reason: str) -> InvalidInput:
    return InvalidInput(f"no strings to separate: {reason}", subject=f"{path}: --separator", hint="Omit --separator.")


def _presence(
    path: Path, records: Sequence[Record], keys: Sequence[str], image: str | None, context: ReadContext, *, chosen: bool
) -> PresenceColumn | None:
    """Return the key that states whether the labels of a record are present; see `presence_column`."""
    taken = {image, *keys}
    values = columns_of(record for _, record in records)
    others = [key for key in values if key not in taken and not split_keys((key,)) and not is_one_of(key, LABEL_KEYS)]
    plain = [key for key in others if not any(isinstance(value, dict | list) for value in values[key])]
    cells = {key: [cell_of(record.get(key, default_flag(key))) for _, record in records] for key in plain}
    classes = {record[key] for _, record in records for key in keys if isinstance(record.get(key), str)}
    label_column = keys[0] if keys else ""
    column = presence_column(cells, path, context, label_column=label_column, classes=classes, chosen=chosen)
    if column is not None and default_flag(column.key):
        without = (where for where, record in records if column.key not in record)
        context.note(f"records without {column.key!r}, whose labels are treated as present", *without)
    return column


def _default_keys(records: Sequence[dict[str, Any]], path: Path, context: ReadContext) -> tuple[str, ...]:
    """Return the key of the labels by its name, if there is one; see `label_key_of`."""
    keys = dict.fromkeys(key for record in records for key in record)
    if find_key(keys, LABEL_KEYS) is None and (_OBJECTS in keys or _is_wide(records)):
        return ()
    key = label_key_of([key for key in keys if not is_one_of(key, IMAGE_KEYS)], path, context)
    return () if key is None else (key,)


def _is_of_one_class(
    key: str, columns: Mapping[str, Sequence[Any]], count: int, context: ReadContext, *, chosen: bool
) -> bool:
    values = columns[key]
    if len(values) < count or not all(value is None or isinstance(value, str | int | float) for value in values):
        return False
    return is_of_one_class(key, list(map(cell_of, values)), columns, context, chosen=chosen)


def _is_wide(records: Sequence[Any]) -> bool:
    """Return whether records have the same keys, with flags instead of labels: ``{"image": "a", "cat": 1}``."""
    if not records or not all(isinstance(record, dict) and record.keys() == records[0].keys() for record in records):
        return False
    if find_key(records[0], LABEL_KEYS) is not None or find_key(records[0], IMAGE_KEYS) is None:
        return False
    return any(all(is_flag(record[key]) for record in records) for key in records[0] if key not in IMAGE_KEYS)


def _entry(image: _Image, separator: str | None, context: ReadContext) -> Entry:
    flags = flags_in(image.labels)
    at = image.labels_at
    if flags is None and (presence := presence_of_objects(image.labels, at, separator, context)):
        return explicit_entry(image.name, presence, image.where, image.split)
    if flags is None:
        labels = labels_in(with_numbers_as_names(image.labels, at), at, separator)
        return Entry(image.name, labels, image.where, image.split)
    presence = {class_name(name, at): context.presence(cell_of(flag), f"{at}.{name}") for name, flag in flags.items()}
    return explicit_entry(image.name, presence, image.where, image.split)


def _from_records(
    records: Sequence[Record], chosen: str | None, keys: Sequence[str], context: ReadContext
) -> Iterator[_Image]:
    some = any(find_key(record, keys) for _, record in records)
    labels_keys = keys if some or keys != LABEL_KEYS else (*keys, _OBJECTS)
    hint = _ABSENT_HINT if some else LABEL_HINT
    image_keys: tuple[str, ...] = IMAGE_KEYS
    if chosen:
        image_keys = (chosen,) if context.options.image_key is not None else (chosen, *IMAGE_KEYS)
    for where, record in records:
        image_at = _key(record, image_keys, where, "the image", IMAGE_HINT)
        labels_at = _key(record, labels_keys, where, "the labels", hint)
        image = record[image_at]
        if isinstance(image, bool) or not isinstance(image, str | int) or image == "":
            raise wrong_type(image, f"{where}.{image_at}", "a file name or an id")
        if labels_at == _OBJECTS:
            context.note("labels of objects, read as labels of the image", _OBJECTS)
        yield _Image(str(image), record[labels_at], where, f"{where}.{labels_at}", split_in(record, where))


def _key(record: dict[str, Any], keys: Sequence[str], where: str, what: str, hint: str) -> str:
    key = find_key(record, keys)
    if key is None:
        raise InvalidInput(f"no key for {what}", subject=where, found=list(record), allowed=keys, hint=hint)
    return key
