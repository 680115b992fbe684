"""JSON objects other than ``{image: labels}``: records in one of their keys, or the files of each class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wsss.data.importers.rules.keys import VAGUE, is_image
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.readers.label_rules import IMAGE_KEYS, find_key
from wsss.errors import InvalidInput, listing


def records_key(path: Path, content: dict[str, Any], context: ReadContext) -> str | None:
    """Return the key that holds a list of records (``{"version": 1, "data": [...]}``), which is noted.

    Raises:
        InvalidInput: several keys hold records.
    """
    keys = [key for key, value in content.items() if _is_records(value)]
    if len(keys) > 1:
        raise InvalidInput(
            "several keys hold lists of records", subject=path, found=keys, hint="Put all records into one list."
        )
    if not keys:
        return None
    unused = listing(key for key in content if key != keys[0])
    context.note("records taken from a key of the file", keys[0] + (f" (not used: {unused})" if unused else ""))
    return keys[0]


def _is_records(value: Any) -> bool:
    """Return whether a value is a list of objects that each name an image."""
    records = value if isinstance(value, list) else []
    usual = [key for key in IMAGE_KEYS if key not in VAGUE]
    return bool(records) and all(
        isinstance(record, dict)
        and ((key := find_key(record, usual)) is not None or any(map(is_image, record.values())))
        and (key is None or isinstance(record[key], str | int))
        for record in records
    )


def refuse_files_per_class(path: Path, content: dict[str, Any]) -> None:
    """Reject ``{"cat": ["a.jpg", …]}``.

    Raises:
        InvalidInput: all values are lists of images, and no key is an image.
    """
    lists = [value for value in content.values() if value]
    files = lists and all(isinstance(value, list) and all(map(is_image, value)) for value in lists)
    if files and not any(map(is_image, content)):
        raise InvalidInput(
            "maps classes to images instead of images to classes",
            subject=path,
            found=list(content),
            allowed="keys that are images: {image: [class names]}",
            hint='Invert the mapping, with [] for images without any class: {"a.jpg": ["cat"], "b.jpg": []}',
        )
