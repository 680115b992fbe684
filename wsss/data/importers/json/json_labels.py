"""What a value of a JSON file says as labels: names in a list or a text, or a flag per name."""

from __future__ import annotations

from typing import Any

from wsss.data.importers.json.json_file import kind
from wsss.data.importers.rules.cells import names_in
from wsss.data.importers.rules.imported_labels import class_name
from wsss.data.readers.label_rules import LABEL_KEYS, LETTERS, NO, UNKNOWN_MARK, YES, find_key, is_one_of, number_in
from wsss.errors import InvalidInput


def labels_in(value: Any, where: str, separator: str | None = None) -> tuple[str, ...]:
    """Return the labels in a JSON value: a list, a text, ``null``, or ``{"choices": …}``.

    Args:
        value: see above.
        where: of the value.
        separator: between the names in a text; ``None``: a text is one name.

    Raises:
        InvalidInput: it is something else.
    """
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        return tuple(class_name(name, where) for name in names_in(value, separator, where))
    if isinstance(value, list):
        parts = [(item, f"{where}[{number}]") for number, item in enumerate(value)]
        named = (labels_in(one, at) if isinstance(one, dict) else (class_name(one, at),) for one, at in parts)
        return tuple(name for names in named for name in names)
    if isinstance(value, dict):
        key = find_key(value, LABEL_KEYS)
        if key is not None and not is_flag(value[key]):
            return labels_in(value[key], f"{where}.{key}", separator)
        wrong = next((name for name, flag in value.items() if not is_flag(flag)), None)
        place = where if wrong is None else f"{where}.{wrong}"
        raise InvalidInput(f"{place}: found {kind(value if wrong is None else value[wrong])}; expected class names.")
    raise InvalidInput(f"{where}: found {kind(value)}; expected a list of class names.")


def with_numbers_as_texts(value: Any, where: str) -> Any:
    """Return a JSON value with a number, or a list of numbers, as texts; a number beside names is a mistake."""
    if isinstance(value, int | float):
        return _numbered(value, where)
    if isinstance(value, list) and all(isinstance(item, int | float) for item in value):
        return [_numbered(item, f"{where}[{number}]") for number, item in enumerate(value)]
    return value


def _numbered(value: float, where: str) -> str:
    """Return a number or a flag as a label: the id of a class, or what `wsss.data.importers.rules.presence` reads.

    Raises:
        InvalidInput: it has decimals.
    """
    if value != int(value):
        raise InvalidInput(
            f"{where}: found {value}; expected a class name, or the number of a class.",
            hint="A soft label needs the name of its class: {IMAGE: {CLASS: 0.8}}, or a record with a key per class; "
            "then --soft-threshold 0.5",
        )
    return str(value).lower() if isinstance(value, bool) else str(int(value))


def has_text(value: Any) -> bool:
    """Whether a value is a text of labels, or ``{"choices": text}``; the names in a list are not separated."""
    if isinstance(value, dict):
        key = find_key(value, LABEL_KEYS)
        return key is not None and not is_flag(value[key]) and has_text(value[key])
    return isinstance(value, str)


def flags_in(value: Any) -> dict[str, Any] | None:
    """Return ``{name: 0 or 1}`` where a value is that."""
    if not isinstance(value, dict) or not value:
        return None
    named = any(is_one_of(key, LABEL_KEYS) and not is_flag(flag) for key, flag in value.items())
    return None if named or not all(map(is_flag, value.values())) else value


def is_flag(value: Any) -> bool:
    """Whether a value says if a class is there: true, a number, null, or a text such as "?"."""
    if isinstance(value, str):
        number = number_in(value)
        soft = number is not None and 0 <= number <= 1
        return soft or value.strip().casefold() in (YES | NO | {"", UNKNOWN_MARK}) - LETTERS
    return value is None or isinstance(value, bool | int | float)


def cell_of(flag: Any) -> str:
    """Return a value as a cell of a table has it; ``null`` is an empty cell."""
    return "" if flag is None else str(flag)
