"""Objects with a label that state whether it is present: ``[{"label": "cat", "present": false}, …]``."""

from __future__ import annotations

from typing import Any

from wsss.data.importers.json.json_labels import cell_of, labels_in
from wsss.data.importers.rules.imported_labels import any_present
from wsss.data.importers.rules.presence_column import are_flags, flag_cells, is_flag_key, note_presence_key
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.readers.label_rules import ABSENT_KEYS, CONFIDENCE_KEYS, LABEL_KEYS, PRESENT_KEYS, find_key


def presence_of_objects(
    value: Any, where: str, separator: str | None, context: ReadContext
) -> dict[str, bool | None] | None:
    """Return class → presence (``None``: unknown) for a list of such objects, or a single one.

    Args:
        value: labels as in the file.
        separator: between the names in a string.
        context: rules; receives a note.

    Returns:
        ``None`` if no object states whether its label is present.

    Raises:
        InvalidInput: a presence that is neither yes nor no.
    """
    items = value if isinstance(value, list) else [value]
    keys = [_presence_key(item, context) for item in items]
    if not any(keys):
        return None
    presence: dict[str, bool | None] = {}
    for number, (item, key) in enumerate(zip(items, keys, strict=True)):
        at = f"{where}[{number}]" if isinstance(value, list) else where
        present: bool | None = True
        if key is not None:
            note_presence_key(key, context)
            present = context.presence(flag_cells(key, [cell_of(item[key])], context)[0], f"{at}.{key}")
        for name in labels_in([item], where, separator):
            presence[name] = any_present(presence.get(name, False), present)
    return presence


def _presence_key(item: Any, context: ReadContext) -> str | None:
    label = find_key(item, LABEL_KEYS) if isinstance(item, dict) else None
    if label is None or not isinstance(item[label], str | list):
        return None
    for keys in ((*PRESENT_KEYS, *ABSENT_KEYS), CONFIDENCE_KEYS):
        key = find_key(item, keys)
        if key is None:
            continue
        cell = cell_of(item[key])
        if are_flags(flag_cells(key, [cell], context), context) or (is_flag_key(key) and not cell):
            return key
    return None
