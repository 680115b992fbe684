"""Names of splits, and the column or key that holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from wsss.data.readers.label_rules import NO, SPLIT_KEYS, VALIDATION_FLAGS, YES, find_key
from wsss.data.sample_ids import MAX_ID_BYTES, check_id
from wsss.errors import InvalidInput

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Lower-case name in a file → name in the pipeline."""


def split_name(value: str, where: str) -> str:
    """Return the pipeline's name of a split, which becomes a file name.

    Raises:
        InvalidInput: not a valid file name.
    """
    name = value.strip()
    try:
        return SPLITS.get(name.lower()) or check_id(name, where)
    except InvalidInput as error:
        raise InvalidInput(
            subject=where,
            found=value,
            allowed=f"the name of a split: a file name without folders, not hidden, of at most {MAX_ID_BYTES} bytes",
            hint="Use a name such as train, val or test.",
        ) from error


def split_keys(columns: Iterable[str]) -> tuple[str, ...]:
    """Return the column that `split_in` reads, if there is one: a split name, or a flag such as ``is_valid``."""
    names = list(columns)
    key = find_key(names, SPLIT_KEYS) or find_key(names, VALIDATION_FLAGS)
    return () if key is None else (key,)


def split_in(record: Mapping[str, Any], where: str) -> str | None:
    """Return the split of a record: the value of ``split``, or val and train for ``is_valid``; else ``None``.

    Raises:
        InvalidInput: the split is not a string, or the flag is neither true nor false.
    """
    key = find_key(record, SPLIT_KEYS)
    if key is not None:
        split = record[key] or None
        if split is not None and not isinstance(split, str):
            raise InvalidInput(subject=f"{where}.{key}", found=split, allowed="the name of a split")
        return split
    flag = find_key(record, VALIDATION_FLAGS)
    if flag is None:
        return None
    text = str(record[flag]).strip().casefold()
    if text not in YES | NO:
        raise InvalidInput(subject=f"{where}: {flag}", found=record[flag], allowed="true (val) or false (train)")
    return "val" if text in YES else "train"
