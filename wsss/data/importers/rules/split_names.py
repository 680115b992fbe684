"""Which split a row or a record puts its image into: one rule for tables, JSON and exports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from wsss.data.readers.label_rules import NO, SPLIT_KEYS, VALIDATION_FLAGS, YES, find_key
from wsss.errors import InvalidInput


def split_keys(columns: Iterable[str]) -> tuple[str, ...]:
    """Return the columns that `split_in` reads: one with the name of the split, or a flag such as ``is_valid``."""
    names = list(columns)
    found = find_key(names, SPLIT_KEYS) or find_key(names, VALIDATION_FLAGS)
    return () if found is None else (found,)


def split_in(record: Mapping[str, Any], where: str) -> str | None:
    """Return the split that a record names: the value of ``split``, or val and train of ``is_valid``; else ``None``.

    Raises:
        InvalidInput: a split that is not a text, or a flag that is neither true nor false.
    """
    key = find_key(record, SPLIT_KEYS)
    if key is not None:
        split = record[key] or None
        if split is not None and not isinstance(split, str):
            raise InvalidInput(f"{where}.{key}: found {split!r}; expected the name of a split.")
        return split
    flag = find_key(record, VALIDATION_FLAGS)
    if flag is None:
        return None
    text = str(record[flag]).strip().casefold()
    if text not in YES | NO:
        raise InvalidInput(f"{where}: {flag}: found {record[flag]!r}; expected true (val) or false (train).")
    return "val" if text in YES else "train"
