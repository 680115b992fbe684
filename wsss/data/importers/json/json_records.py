"""Labels in plain JSON: an object ``{image: [names]}`` or ``{image: {name: 0 or 1}}``, or a list of records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wsss.data.importers.json.json_file import kind, read_json
from wsss.data.importers.json.json_labels import cell_of, flags_in, has_text, is_flag, labels_in, with_numbers_as_texts
from wsss.data.importers.json.json_shapes import refuse_files_per_class, wrapped
from wsss.data.importers.rules import wide_tables
from wsss.data.importers.rules.cells import separator_of
from wsss.data.importers.rules.imported_labels import Entry, Labels, class_name, collect, stated
from wsss.data.importers.rules.keys import (
    IMAGE_MEND,
    LABEL_MEND,
    columns_of,
    image_key,
    label_key_of,
    label_keys,
)
from wsss.data.importers.rules.presence import is_of_one_class, yes_and_no
from wsss.data.importers.rules.presence_column import Statement, by_statement, implied, objects_in, statement_of
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.importers.rules.split_names import split_in, split_keys
from wsss.data.readers.label_rules import (
    BOX_KEYS,
    CONFIDENCE_KEYS,
    IMAGE_KEYS,
    LABEL_KEYS,
    find_key,
    is_one_of,
)
from wsss.errors import InvalidInput, listing

OBJECTS = "objects"
"""Where Hugging Face's ImageFolder keeps boxes and their classes: ``{"bbox": [...], "categories": [...]}``."""

ABSENT_MEND = (
    "Give each record its labels, [] where there are none; if Label Studio wrote the file, which leaves them out where "
    "nothing was chosen: --format label-studio"
)


def read(
    path: Path, *, label_key: str | None = None, separator: str | None = None, context: ReadContext | None = None
) -> Labels:
    """Read ``{"a.jpg": ["cat", "dog"], …}`` or ``[{"image": "a.jpg", "labels": ["cat"]}, …]``.

    Args:
        path: the file.
        label_key: of the labels in a record, or several keys of 0 and 1 (``cat,dog``); by default the first of
            `LABEL_KEYS` that it has.
        separator: what stands between labels in a text that is not in a list; by default as
            `wsss.data.importers.rules.cells.separator_of` finds.
        context: rules in force.

    Raises:
        InvalidInput: names file and key.
    """
    context, content = context or ReadContext(), read_json(path)
    if isinstance(content, list):
        rows = [(f"{path}: [{number}]", record) for number, record in enumerate(content)]
        return read_records(path, rows, "a list of records (JSON)", label_key, separator, context)
    if not isinstance(content, dict):
        raise InvalidInput(
            f"{path}: found {kind(content)}; expected an object {{image: [class names]}} or a list of records."
        )
    inner = wrapped(path, content, context)
    if inner is not None:
        rows = [(f"{path}: {inner}[{number}]", record) for number, record in enumerate(content[inner])]
        return read_records(path, rows, "a list of records (JSON)", label_key, separator, context)
    refuse_files_per_class(path, content)
    found = _object(path, content, label_key, context)
    named = label_key is not None and find_key((label_key,), LABEL_KEYS) is not None
    return _collected(path, found, "an object of labels (JSON)", separator, context, names=named)


def _object(path: Path, content: dict[str, Any], label_key: str | None, context: ReadContext) -> list[Found]:
    """Return what ``{image: labels}`` holds, or ``{image: {label_key: labels, …}}``.

    Raises:
        InvalidInput: there is no such key.
    """
    keyed = label_key is not None and all(isinstance(value, dict) and label_key in value for value in content.values())
    for option, key in (("--image-key", context.image_key), ("--label-key", None if keyed else label_key)):
        if key is not None:
            raise InvalidInput(
                f"{path}: {option} {key} is for records; this is an object {{image: labels}}, whose keys are images.",
                hint=f"Leave {option} out.",
            )
    places = {image: f"{path}: {image}" for image in content}
    if keyed:
        return [Found(i, value[label_key], places[i], f"{places[i]}.{label_key}") for i, value in content.items()]
    return [Found(image, value, places[image], places[image]) for image, value in content.items()]


def read_records(
    path: Path,
    records: Sequence[tuple[str, Any]],
    format: str,
    label_key: str | None,
    separator: str | None,
    context: ReadContext,
) -> Labels:
    """Return the labels of records, each with the place where it stands; see `read`.

    Raises:
        InvalidInput: names file and key.
    """
    for where, record in records:
        if not isinstance(record, dict):
            raise InvalidInput(f"{where}: found {kind(record)}; expected a record with an image and its labels.")
    columns = columns_of(record for _, record in records)
    chosen = label_keys(label_key, columns, path) if label_key is not None and columns else ()
    keys = chosen or _guessed([record for _, record in records], path, context)
    flags = len(keys) == 1 and _is_of_one_class(keys[0], columns, len(records), context, chosen=bool(chosen))
    if flags or len(chosen) > 1 or (not keys and records and _is_wide([record for _, record in records])):
        if separator is not None:
            raise InvalidInput(f"{path}: --separator: the records have a key per class, and no texts to separate.")
        empty = dict.fromkeys(columns, "")
        return wide_tables.read(path, [(where, empty | _cells(record)) for where, record in records], keys, context)
    image = image_key(columns, path, context)
    usual = not chosen and find_key(keys, LABEL_KEYS) is not None  # records may have different ones
    found = list(_records(records, image, LABEL_KEYS if usual or not keys else keys, context))
    statement = _statement(path, records, keys, image, context, chosen=bool(chosen))
    ids = bool(statement or find_key(columns, CONFIDENCE_KEYS) or find_key(columns, BOX_KEYS) or OBJECTS in columns)
    named = bool(chosen) and find_key(chosen, LABEL_KEYS) is not None
    return _collected(path, found, format, separator, context, statement, names=ids or named)


def _collected(
    path: Path,
    found: Sequence[Found],
    format: str,
    separator: str | None,
    context: ReadContext,
    statement: Statement | None = None,
    *,
    names: bool = False,
) -> Labels:
    """Return the labels of what was found; ``names``: labels such as 0 and 1 are names of classes."""
    if separator is not None and not any(has_text(one.labels) for one in found):
        raise InvalidInput(
            f"{path}: --separator: no labels are texts, so there is nothing to separate.",
            hint="Leave --separator out.",
        )
    if separator is None:
        separator = separator_of(one.labels for one in found if isinstance(one.labels, str))
        if separator is not None:
            context.note(f"texts with {separator!r}, read as several labels", f"{path} (--separator says otherwise)")
    flags = [flag for one in found for flag in (flags_in(one.labels) or {}).values()]
    context.settle_minus_one(map(cell_of, flags), str(path))
    entries = [_entry(one, separator, context) for one in found]
    entries = entries if names else yes_and_no(entries, context)
    return collect(format, by_statement(entries, statement, context), context=context)


def _statement(
    path: Path,
    records: Sequence[tuple[str, dict[str, Any]]],
    keys: Sequence[str],
    image: str | None,
    context: ReadContext,
    *,
    chosen: bool,
) -> Statement | None:
    """Return which key of the records says whether their labels are present; see `statement_of`."""
    taken = {image, *keys}
    values = columns_of(record for _, record in records)
    others = [key for key in values if key not in taken and not split_keys((key,)) and not is_one_of(key, LABEL_KEYS)]
    plain = [key for key in others if not any(isinstance(value, dict | list) for value in values[key])]
    cells = {key: [cell_of(record.get(key, implied(key))) for _, record in records] for key in plain}
    labels = [record[key] for _, record in records for key in keys if isinstance(record.get(key), str)]
    column = keys[0] if keys else ""
    found = statement_of(cells, path, context, column=column, classes=set(labels), chosen=chosen)
    if found is not None and implied(found.key):
        without = (where for where, record in records if found.key not in record)
        context.note(f"records without {found.key!r}, whose labels count as present", *without)
    return found


def _guessed(records: Sequence[dict[str, Any]], path: Path, context: ReadContext) -> tuple[str, ...]:
    """Return the key of the labels by its name, if there is one; see `label_key_of`."""
    keys = dict.fromkeys(key for record in records for key in record)
    if find_key(keys, LABEL_KEYS) is None and (OBJECTS in keys or _is_wide(records)):
        return ()
    found = label_key_of([key for key in keys if not is_one_of(key, IMAGE_KEYS)], path, context)
    return () if found is None else (found,)


def _is_of_one_class(
    key: str, columns: Mapping[str, Sequence[Any]], count: int, context: ReadContext, *, chosen: bool
) -> bool:
    """Whether all records have a text, a number or a flag under ``key``, which says if they show one class."""
    values = columns[key]
    if len(values) < count or not all(value is None or isinstance(value, str | int | float) for value in values):
        return False
    return is_of_one_class(key, list(map(cell_of, values)), columns, context, chosen=chosen)


def _is_wide(content: Sequence[Any]) -> bool:
    """Whether a list holds records of one form, without labels but with flags: ``{"image": "a", "cat": 1}``."""
    if not content or not all(isinstance(record, dict) and record.keys() == content[0].keys() for record in content):
        return False
    if find_key(content[0], LABEL_KEYS) is not None or find_key(content[0], IMAGE_KEYS) is None:
        return False
    return any(all(is_flag(record[key]) for record in content) for key in content[0] if key not in IMAGE_KEYS)


def _cells(record: dict[str, Any]) -> dict[str, str]:
    return {key: cell_of(value) for key, value in record.items()}


def _entry(one: Found, separator: str | None, context: ReadContext) -> Entry:
    flags = flags_in(one.labels)
    if flags is None and (said := objects_in(one.labels, one.key, separator, context)):
        return stated(one.image, said, one.where, one.split)
    if flags is None:
        labels = labels_in(with_numbers_as_texts(one.labels, one.key), one.key, separator)
        return Entry(one.image, labels, one.where, one.split)
    named = {class_name(name, one.key): (f"{one.key}.{name}", cell_of(flag)) for name, flag in flags.items()}
    found = {name: context.presence(cell, where) for name, (where, cell) in named.items()}
    return stated(one.image, found, one.where, one.split)


class Found(NamedTuple):
    """An image and its labels as they stand in the file; ``where`` is the place of both, ``key`` that of the labels."""

    image: str
    labels: Any
    where: str
    key: str
    split: str | None = None


def _records(
    records: Sequence[tuple[str, dict[str, Any]]], named: str | None, keys: Sequence[str], context: ReadContext
) -> Iterator[Found]:
    some = any(find_key(record, keys) for _, record in records)
    objects = keys == LABEL_KEYS and not some
    hint = ABSENT_MEND if some else LABEL_MEND
    images = (named,) if context.image_key is not None and named else ((named,) if named else ()) + IMAGE_KEYS
    for where, record in records:
        image_name = _key(record, images, where, "the image", hint=IMAGE_MEND)
        labels_key = _key(record, (*keys, OBJECTS) if objects else keys, where, "the labels", hint=hint)
        image = record[image_name]
        if isinstance(image, bool) or not isinstance(image, str | int) or image == "":
            raise InvalidInput(f"{where}.{image_name}: found {kind(image)}; expected a file name or an id.")
        if labels_key == OBJECTS:
            context.note("labels of objects, read as: the class is in the image", OBJECTS)
        yield Found(str(image), record[labels_key], where, f"{where}.{labels_key}", split_in(record, where))


def _key(record: dict[str, Any], keys: Sequence[str], where: str, what: str, *, hint: str | None = None) -> str:
    found = find_key(record, keys)
    if found is None:
        raise InvalidInput(
            f"{where}: no key names {what}; allowed are {listing(keys, limit=20)}; found {listing(record, limit=20)}.",
            hint=hint,
        )
    return found
