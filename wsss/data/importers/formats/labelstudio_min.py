"""Label Studio's exports JSON-MIN and CSV: one flat record per annotation.

A record has the task's data (the image's URL and other imported columns), some of `METADATA`, and for each control of
the labelling config its value under the control's *name*: a string for one choice, ``{"choices": [...]}`` for several,
a list of labelled regions for boxes and other shapes. A control without a choice has no key. The CSV has the same
content in cells.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wsss.data.importers.json.json_file import read_json, wrong_type
from wsss.data.importers.json.json_labels import labels_in
from wsss.data.importers.rules.collect_labels import collect
from wsss.data.importers.rules.imported_labels import Entry, Labels
from wsss.data.importers.rules.keys import LABEL_HINT, columns_of, image_key, is_image, label_keys
from wsss.data.importers.rules.presence import yes_and_no
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.importers.rules.split_names import split_in
from wsss.data.importers.rules.urls import LOCAL
from wsss.data.readers.label_rules import IMAGE_KEYS, LABEL_KEYS, SPLIT_KEYS, is_one_of
from wsss.errors import InvalidInput, listing

METADATA = frozenset(
    {"annotation_id", "annotator", "lead_time", "created_at", "updated_at", "agreement", "history", "id"}
)
SIGNATURE = frozenset({"annotation_id", "annotator", "lead_time"})
"""Keys of every record of an export; other programs hardly write two of them."""

FORMAT = "an export of Label Studio"
REGIONS = "labels of boxes and regions, read as labels of the image"
CHOICE_KEYS = ("choice", "choices")
"""Names of the control in Label Studio's own templates."""

Record = tuple[str, Mapping[str, Any]]
"""Location (``"file:line"`` or ``"file: [number]"``), and key → value."""


def looks_like(content: Any) -> bool:
    """Return whether a JSON document is a list with records of Label Studio."""
    return isinstance(content, list) and any(isinstance(record, dict) and _is_record(record) for record in content)


def is_signed(keys: Collection[str]) -> bool:
    """Return whether keys or columns are those of Label Studio."""
    return len(SIGNATURE.intersection(keys)) > 1


def read(path: Path, context: ReadContext) -> Labels:
    """Read an export JSON-MIN.

    Raises:
        InvalidInput: names file and key.
    """
    content = read_json(path)
    if not isinstance(content, list):
        raise wrong_type(content, path, "a list of records (Label Studio's JSON-MIN)")
    records = [(f"{path}: [{number}]", record) for number, record in enumerate(content)]
    for where, record in records:
        if not isinstance(record, dict):
            raise wrong_type(record, where, "a record with an image and its labels")
    return collect_records(path, records, context)


def collect_records(path: Path, records: Sequence[Record], context: ReadContext) -> Labels:
    """Return the labels of records; an image whose record lacks the control's key shows no class.

    Without a ``label_key``, the control is the first match of: the key ``choice``; the only key with
    ``{"choices": ...}``; another usual name; the only key with labels of regions; the only string besides the image.

    Raises:
        InvalidInput: no or several candidates for the labels, a missing image, or an invalid label.
    """
    own = [(where, {key: value for key, value in r.items() if key not in METADATA}) for where, r in records]
    columns, label_key = columns_of(record for _, record in own), context.options.label_key
    image = image_key(columns, path, context, served=True)
    if label_key is not None:
        controls = label_keys(label_key, columns, path)
    else:
        controls = (_control(path, {key: values for key, values in columns.items() if key != image}),)
        _note_control(controls[0], columns, context)
    regions = [name for name in controls if any(map(_is_region, columns[name]))]
    context.note(REGIONS, *regions)
    entries = [
        Entry(
            image_of(record, image, where),
            tuple(dict.fromkeys(n for name in controls for n in _chosen(record.get(name), f"{where}.{name}"))),
            where,
            split_in(record, where),
        )
        for where, record in own
    ]
    return collect(FORMAT, entries if regions or label_key else yes_and_no(entries, context), context)


def image_of(record: Mapping[str, Any], key: str | None, where: str) -> str:
    """Return the image of a record.

    Raises:
        InvalidInput: no key, or no string under it.
    """
    image = record.get(key) if key is not None else None
    if not isinstance(image, str) or not image:
        allowed = "the key image, or the path or URL of an image" if key is None else f"the key {key}"
        raise InvalidInput("no image", subject=where, found=list(record) or None, allowed=allowed)
    return image


def _is_record(record: Mapping[str, Any]) -> bool:
    served = any(isinstance(value, str) and value.startswith(LOCAL) for value in record.values())
    return served or is_signed(record)


def _note_control(control: str, columns: Mapping[str, Sequence[Any]], context: ReadContext) -> None:
    others = [
        name
        for name, values in columns.items()
        if name != control and any(_is_choices(value) or _is_region(value) for value in values)
    ]
    if control not in CHOICE_KEYS or others:
        message = f"{control}, not {listing(others)}" if others else control
        context.note("labels taken from the key (--label-key NAME: another)", message)


def _control(path: Path, columns: Mapping[str, Sequence[Any]]) -> str:
    """Return the key of the labels, among all keys except the image's."""
    strings = [
        key
        for key, values in columns.items()
        if all(value is None or isinstance(value, str) for value in values)
        and any(values)
        and not any(map(is_image, values))
        and not is_one_of(key, (*IMAGE_KEYS, *SPLIT_KEYS))
    ]
    groups: Iterable[list[str]] = (
        [key for key in CHOICE_KEYS if key in columns],
        [key for key, values in columns.items() if any(map(_is_choices, values))],
        [key for key in columns if is_one_of(key, LABEL_KEYS)],
        [key for key, values in columns.items() if any(map(_is_region, values))],
        strings,
    )
    candidates = next((group for group in groups if group), [])
    if len(candidates) > 1:
        raise InvalidInput("several keys may hold the labels", subject=path, found=candidates, hint=LABEL_HINT)
    if not candidates:
        raise InvalidInput("no key holds the labels", subject=path, found=list(columns) or None, hint=LABEL_HINT)
    return candidates[0]


def _is_choices(value: Any) -> bool:
    if isinstance(value, list):  # one for each region
        return any(_is_choices(item) for item in value)
    return isinstance(value, dict) and "choices" in value


def _is_region(value: Any) -> bool:
    """Return whether a value is a list of regions; some may be unlabelled."""
    return isinstance(value, list) and any(isinstance(item, dict) and _region_key(item) for item in value)


def _region_key(region: Mapping[str, Any]) -> str | None:
    """Return the key of a region's labels: ``rectanglelabels``, ``polygonlabels`` and so on."""
    return next((key for key in region if key.endswith("labels") and key != "labels"), None)


def _chosen(value: Any, where: str) -> tuple[str, ...]:
    """Return the names in a control's value, which is a list if the control was used several times."""
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        parts = [_chosen(item, f"{where}[{at}]") for at, item in enumerate(value)]
        return tuple(dict.fromkeys(name for part in parts for name in part))
    if isinstance(value, dict) and "choices" not in value and (_region_key(value) or "x" in value):
        key = _region_key(value)
        return labels_in(value[key], f"{where}.{key}") if key is not None else ()
    return labels_in(value, where)
