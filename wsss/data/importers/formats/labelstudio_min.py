"""Label Studio's exports JSON-MIN and CSV: one flat record per annotation.

A record has the task's data (the image's URL and whatever else was imported), some of `METADATA`, and, for each control
of the labelling config, what was chosen under the control's *name*: a text for one choice, ``{"choices": [...]}`` for
several, a list of regions with their labels for boxes and the like. A control that nothing was chosen in has no key.
The CSV has the same in cells.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wsss.data.importers.json.json_file import kind, read_json
from wsss.data.importers.json.json_labels import labels_in
from wsss.data.importers.rules.imported_labels import Entry, Labels, collect
from wsss.data.importers.rules.keys import LABEL_MEND, columns_of, image_key, label_keys, looks_like_an_image
from wsss.data.importers.rules.presence import yes_and_no
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.importers.rules.split_names import split_in
from wsss.data.importers.rules.urls import LOCAL
from wsss.data.readers.label_rules import IMAGE_KEYS, LABEL_KEYS, SPLIT_KEYS, is_one_of
from wsss.errors import InvalidInput, listing

METADATA = frozenset(
    {"annotation_id", "annotator", "lead_time", "created_at", "updated_at", "agreement", "history", "id"}
)
SIGNS = frozenset({"annotation_id", "annotator", "lead_time"})
"""Keys that every record of an export has; two of them are hardly another program's."""

FORMAT = "an export of Label Studio"
REGIONS = "labels of boxes and regions, read as: the class is in the image"
CHOICE_KEYS = ("choice", "choices")
"""What Label Studio's own templates call the control."""

Record = tuple[str, Mapping[str, Any]]
"""``"file:line"`` or ``"file: [number]"``, and what is there."""


def looks_like(content: Any) -> bool:
    """Whether a JSON document is a list of such records."""
    return isinstance(content, list) and any(isinstance(record, dict) and is_record(record) for record in content)


def is_record(record: Mapping[str, Any]) -> bool:
    """Whether Label Studio has written a record."""
    served = any(isinstance(value, str) and value.startswith(LOCAL) for value in record.values())
    return served or is_signed(record)


def is_signed(keys: Collection[str]) -> bool:
    """Whether keys or columns are those that Label Studio writes."""
    return len(SIGNS.intersection(keys)) > 1


def read(path: Path, *, label_key: str | None = None, context: ReadContext | None = None) -> Labels:
    """Read an export JSON-MIN.

    Args:
        path: the file.
        label_key: name of the control; see `collect_records`.

    Raises:
        InvalidInput: names file and key.
    """
    content = read_json(path)
    if not isinstance(content, list):
        raise InvalidInput(f"{path}: no Label Studio export: found {kind(content)}; expected a list.")
    records: list[Record] = []
    for number, record in enumerate(content):
        where = f"{path}: [{number}]"
        if not isinstance(record, dict):
            raise InvalidInput(f"{where}: found {kind(record)}; expected a record with an image and its labels.")
        records.append((where, record))
    return collect_records(path, records, label_key=label_key, context=context)


def collect_records(
    path: Path, records: Sequence[Record], *, label_key: str | None, context: ReadContext | None = None
) -> Labels:
    """Return the labels that records hold; one without the control's key says that no class is in the image.

    Args:
        path: of the file.
        records: see `Record`.
        label_key: name of the control, or several names separated by commas; by default ``choice``, else the only key
            that holds ``{"choices": ...}``, else another usual name, else the only one with labels of regions, else
            the only text that is not the image.

    Raises:
        InvalidInput: nothing or several things can be the labels; an image isn't named; a label is no name.
    """
    own = [(where, {key: value for key, value in r.items() if key not in METADATA}) for where, r in records]
    context = context or ReadContext()
    columns = columns_of(record for _, record in own)
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
            _image(record, image, where),
            tuple(dict.fromkeys(n for name in controls for n in _chosen(record.get(name), f"{where}.{name}"))),
            where,
            split_in(record, where),
        )
        for where, record in own
    ]
    return collect(FORMAT, entries if regions or label_key else yes_and_no(entries, context), context=context)


def _note_control(control: str, columns: Mapping[str, Sequence[Any]], context: ReadContext) -> None:
    others = [name for name, values in columns.items() if name != control and any(map(_is_control, values))]
    beside = f", not {listing(others)}" if others else ""
    if control not in CHOICE_KEYS or others:
        context.note("labels read from the key (--label-key says otherwise)", f"{control}{beside}")


def _control(path: Path, columns: Mapping[str, Sequence[Any]]) -> str:
    """Return the key that holds the labels, among all but that of the image."""
    texts = [
        key
        for key, values in columns.items()
        if all(isinstance(value, str) for value in values)
        and not any(map(looks_like_an_image, values))
        and not is_one_of(key, (*IMAGE_KEYS, *SPLIT_KEYS))
    ]
    groups: Iterable[list[str]] = (
        [key for key in CHOICE_KEYS if key in columns],
        [key for key, values in columns.items() if any(map(_is_choices, values))],
        [key for key in columns if is_one_of(key, LABEL_KEYS)],
        [key for key, values in columns.items() if any(map(_is_region, values))],
        texts,
    )
    found = next((group for group in groups if group), [])
    if len(found) == 1:
        return found[0]
    problem = f"several keys may hold the labels: {listing(found)}" if found else "no key holds the labels"
    raise InvalidInput(f"{path}: {problem}; found {listing(columns, limit=20)}.", hint=LABEL_MEND)


def _is_control(value: Any) -> bool:
    return _is_choices(value) or _is_region(value)


def _is_choices(value: Any) -> bool:
    if isinstance(value, list):  # one for each region
        return any(_is_choices(item) for item in value)
    return isinstance(value, dict) and "choices" in value


def _is_region(value: Any) -> bool:
    """Whether a value is a list of regions; one that was drawn without a label has none."""
    return isinstance(value, list) and any(isinstance(item, dict) and _region_key(item) for item in value)


def _region_key(region: Mapping[str, Any]) -> str | None:
    """Return the key of a region's labels: ``rectanglelabels``, ``polygonlabels`` and the like."""
    return next((key for key in region if key.endswith("labels") and key != "labels"), None)


def _image(record: Mapping[str, Any], key: str | None, where: str) -> str:
    image = record.get(key) if key is not None else None
    if not isinstance(image, str) or not image:
        expected = "the key image, or a text that ends like one" if key is None else f"the key {key}"
        raise InvalidInput(f"{where}: no image is named here; expected {expected}.")
    return image


def _chosen(value: Any, where: str) -> tuple[str, ...]:
    """Return the names in a control's value, which is a list where the control was used several times."""
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        parts = [_chosen(item, f"{where}[{at}]") for at, item in enumerate(value)]
        return tuple(dict.fromkeys(name for part in parts for name in part))
    if isinstance(value, dict) and "choices" not in value and (_region_key(value) or "x" in value):
        key = _region_key(value)
        return labels_in(value[key], f"{where}.{key}") if key is not None else ()
    return labels_in(value, where)
