"""Label Studio's exports JSON-MIN and CSV: one flat record per annotation.

A record has the task's data (the image's URL and whatever else was imported), some of `METADATA`, and, for each control
of the labelling config, what was chosen under the control's *name*: a text for one choice, ``{"choices": [...]}`` for
several. A control that nothing was chosen in has no key. The CSV has the same in cells.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wsss.data.importing.jsonfile import kind, read_json
from wsss.data.importing.labels import Entry, Labels, collect
from wsss.data.importing.reading import Reading
from wsss.data.importing.records import LABEL_MEND, labels_in, split_in
from wsss.data.importing.urls import LOCAL, ends_like_an_image, image_of
from wsss.data.label_rules import IMAGE_KEYS, LABEL_KEYS, SPLIT_KEYS
from wsss.errors import InvalidInput, listing

METADATA = frozenset(
    {"annotation_id", "annotator", "lead_time", "created_at", "updated_at", "agreement", "history", "id"}
)
SIGNS = frozenset({"annotation_id", "annotator", "lead_time"})
"""Keys that every record of an export has; two of them are hardly another program's."""

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


def read(path: Path, *, label_key: str | None = None, reading: Reading | None = None) -> Labels:
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
    return collect_records(path, records, label_key=label_key, reading=reading)


def collect_records(
    path: Path, records: Sequence[Record], *, label_key: str | None, reading: Reading | None = None
) -> Labels:
    """Return the labels that records hold; one without the control's key says that no class is in the image.

    Args:
        path: of the file.
        records: see `Record`.
        label_key: name of the control; by default ``choice``, else the only key that holds ``{"choices": ...}``, else
            another usual name, else the only text that is not the image.

    Raises:
        InvalidInput: nothing or several things can be the labels; an image isn't named; a label is no name.
    """
    own = [(where, {key: value for key, value in r.items() if key not in METADATA}) for where, r in records]
    reading = reading or Reading()
    control = label_key or _control(path, [record for _, record in own])
    if label_key and not any(label_key in record for _, record in own):
        raise InvalidInput(f"{path}: --label-key {label_key}: no record has this key; found {_keys(own)}.")
    if label_key is None and control not in CHOICE_KEYS:
        reading.note("labels read from the key (--label-key says otherwise)", control)
    entries = [
        Entry(
            image_of(_image(record, where)),
            _chosen(record.get(control), f"{where}.{control}"),
            where,
            split_in(record, where),
        )
        for where, record in own
    ]
    return collect("choices of Label Studio", entries, reading=reading)


def _control(path: Path, records: Sequence[Mapping[str, Any]]) -> str:
    """Return the key that holds the labels."""
    keys = list(dict.fromkeys(key for record in records for key in record))
    others = {key for record in records for key, value in record.items() if _is_image(key, value)} | {*SPLIT_KEYS}
    groups: Iterable[list[str]] = (
        [key for key in CHOICE_KEYS if key in keys],
        [key for key in keys if any(_is_choices(record.get(key)) for record in records)],
        [key for key in LABEL_KEYS if key in keys],
        [key for key in keys if key not in others and all(isinstance(r.get(key, ""), str) for r in records)],
    )
    found = next((group for group in groups if group), [])
    if len(found) == 1:
        return found[0]
    problem = f"several keys may hold the labels: {listing(found)}" if found else "no key holds the labels"
    raise InvalidInput(f"{path}: {problem}; found {listing(keys, limit=20)}.", mend=LABEL_MEND)


def _keys(records: Sequence[Record]) -> str:
    return listing(dict.fromkeys(key for _, record in records for key in record), limit=20)


def _is_choices(value: Any) -> bool:
    if isinstance(value, list):  # one for each region
        return any(_is_choices(item) for item in value)
    return isinstance(value, dict) and "choices" in value


def _is_image(key: str, value: Any) -> bool:
    if not isinstance(value, str):
        return False
    return key in IMAGE_KEYS or value.startswith(LOCAL) or ends_like_an_image(value)


def _image(record: Mapping[str, Any], where: str) -> str:
    """Return the image's URL: the value of ``image``, else a text that ends like one, else of another usual key."""
    texts = {key: value for key, value in record.items() if isinstance(value, str) and value}
    if "image" in texts:
        return texts["image"]
    ends = (value for value in texts.values() if ends_like_an_image(value))
    named = next(ends, None) or next((texts[key] for key in IMAGE_KEYS if key in texts), None)
    if named is None:
        raise InvalidInput(f"{where}: no image is named here; expected the key image, or a text that ends like one.")
    return named


def _chosen(value: Any, where: str) -> tuple[str, ...]:
    """Return the names in a control's value, which is a list where the control was used several times."""
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        parts = [_chosen(item, f"{where}[{at}]") for at, item in enumerate(value)]
        return tuple(dict.fromkeys(name for part in parts for name in part))
    return labels_in(value, where)
