"""Labels in a JSON value: names in a list or a string, or a flag per name."""

from __future__ import annotations

import math
from typing import Any

from wsss.data.importers.json.json_file import wrong_type
from wsss.data.importers.rules.cells import names_in
from wsss.data.importers.rules.imported_labels import class_name
from wsss.data.readers.label_rules import LABEL_KEYS, LETTERS, NO, UNKNOWN_MARK, YES, find_key, is_one_of, number_in
from wsss.errors import InvalidInput


def labels_in(value: Any, where: str, separator: str | None = None) -> tuple[str, ...]:
    """Return the class names in a list, a string, ``null``, or ``{"choices": …}``.

    Args:
        value: see above.
        separator: between the names in a string; ``None``: a string is one name.

    Raises:
        InvalidInput: any other value.
    """
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        return tuple(class_name(name, where) for name in names_in(value, separator, where))
    if isinstance(value, list):
        items = [(item, f"{where}[{number}]") for number, item in enumerate(value)]
        names = (labels_in(item, at) if isinstance(item, dict) else (class_name(item, at),) for item, at in items)
        return tuple(name for part in names for name in part)
    if isinstance(value, dict):
        key = find_key(value, LABEL_KEYS)
        if key is not None and not is_flag(value[key]):
            return labels_in(value[key], f"{where}.{key}", separator)
        wrong = next((name for name, flag in value.items() if not is_flag(flag)), None)
        if wrong is not None:
            raise wrong_type(value[wrong], f"{where}.{wrong}", "class names")
    raise wrong_type(value, where, "a list of class names")


def with_numbers_as_names(value: Any, where: str) -> Any:
    """Return a number, or a list of numbers, as names (class ids); any other value unchanged.

    Raises:
        InvalidInput: a number with decimals, or an infinite one.
    """
    if isinstance(value, int | float):
        return _number_name(value, where)
    if isinstance(value, list) and all(isinstance(item, int | float) for item in value):
        return [_number_name(item, f"{where}[{number}]") for number, item in enumerate(value)]
    return value


def _number_name(value: float, where: str) -> str:
    if not math.isfinite(value) or value != int(value):  # 1e400 is infinite
        raise InvalidInput(
            subject=where,
            found=value,
            allowed="a class name or a class id",
            hint="Soft labels need class names: {IMAGE: {CLASS: 0.8}}, or a record with a key per class; "
            "then --soft-threshold 0.5",
        )
    return str(value).lower() if isinstance(value, bool) else str(int(value))


def has_string(value: Any) -> bool:
    """Return whether labels are a string, or ``{"choices": string}``, which a separator splits."""
    if isinstance(value, dict):
        key = find_key(value, LABEL_KEYS)
        return key is not None and not is_flag(value[key]) and has_string(value[key])
    return isinstance(value, str)


def flags_in(value: Any) -> dict[str, Any] | None:
    """Return a value of the form ``{name: 0 or 1}``; ``None`` for any other."""
    if not isinstance(value, dict) or not value:
        return None
    named = any(is_one_of(key, LABEL_KEYS) and not is_flag(flag) for key, flag in value.items())
    return None if named or not all(map(is_flag, value.values())) else value


def is_flag(value: Any) -> bool:
    """Return whether a value states presence: true or false, a number, null, or a string such as "?"."""
    if isinstance(value, str):
        number = number_in(value)
        soft = number is not None and 0 <= number <= 1
        return soft or value.strip().casefold() in (YES | NO | {"", UNKNOWN_MARK}) - LETTERS
    return value is None or isinstance(value, bool | int | float)


def cell_of(flag: Any) -> str:
    """Return a value as a table cell; ``null`` is an empty cell."""
    return "" if flag is None else str(flag)
