"""Labels with a column beside them that says whether their class is present: a confidence, or a yes and no."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wsss.data.importers.json.json_labels import cell_of, labels_in
from wsss.data.importers.rules.imported_labels import CONTRADICTION, Entry, either, require_one_split, stated
from wsss.data.importers.rules.presence import is_binary, is_soft
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.readers.label_rules import (
    ABSENT_KEYS,
    ABSENT_WORDS,
    ATTRIBUTE_KEYS,
    CONFIDENCE_KEYS,
    LABEL_KEYS,
    NO,
    PRESENT_KEYS,
    PRESENT_WORDS,
    UNKNOWN_MARK,
    YES,
    Word,
    find_key,
    is_one_of,
    number_in,
)
from wsss.errors import InvalidInput, listing

FLAG = "column that says whether the label's class is present (rename or delete it if it says something else)"
NEGATION = "column that says whether the label's class is absent (rename or delete it if it says something else)"
CONFIDENCE = "column of confidences: 1, the label's class is present; 0, it is absent"
LEFT_OUT = "columns of 0 and 1 beside the column of labels, left out (--label-key A,B reads them)"


class Statement(NamedTuple):
    """The column that says whether labels are present: its name, and a cell of 0 and 1 or a share per row."""

    key: str
    cells: tuple[str, ...]


def statement_of(
    columns: Mapping[str, Sequence[str]],
    path: Path,
    context: ReadContext,
    *,
    column: str,
    classes: Collection[str] = (),
    chosen: bool = False,
) -> Statement | None:
    """Return the column beside the labels that says whether their class is present; ``None`` if there is none.

    Args:
        columns: name → cells; all but those of the image, the labels and the split.
        path: of the file.
        context: rules in force; takes the notes.
        column: of the labels.
        classes: names in it; a column that is called like one is of 0 and 1 per class.
        chosen: ``--label-key`` names the column of the labels; others of unclear names are then left out.

    Raises:
        InvalidInput: several columns may say it, or one of 0 and 1 has a name that leaves open whether it does.
    """
    clear = {name: _normal(name, cells, context) for name, cells in columns.items() if _is_clear(name)}
    flags = {name: cells for name, cells in clear.items() if _is_flag(name, cells, context)}
    if len(flags) > 1:
        raise InvalidInput(
            f"{path}: several columns may say whether a label's class is present: {listing(flags)}.",
            hint="Keep one of them in the file.",
        )
    confidence = find_key(columns, CONFIDENCE_KEYS)
    for name, cells in flags.items():
        context.note(NEGATION if is_one_of(name, ABSENT_KEYS) else FLAG, name)
        context.settle_minus_one(cells, str(path))
        if confidence is not None:
            context.note("column of confidences, not used: another says which labels are present", confidence)
        return Statement(name, tuple(cells))
    soft = confidence is not None and is_soft(columns[confidence], context)
    others = [name for name in columns if name != confidence and is_binary(columns[name], context)]
    if not soft and not chosen:
        _refuse_unclear({name: columns[name] for name in others if name not in classes}, path, column)
    context.note(LEFT_OUT, *others)
    if confidence is None:
        return None
    if not soft:
        _note_unused(confidence, columns[confidence], context)
        return None
    context.note(CONFIDENCE, confidence)
    return Statement(confidence, tuple(columns[confidence]))


def implied(key: str) -> str | None:
    """Return what a record that lacks a key says by that: its label is present; ``None`` for other keys."""
    return "0" if is_one_of(key, ABSENT_KEYS) else "1" if is_one_of(key, PRESENT_KEYS) else None


def refuse_unnamed(path: Path, columns: Sequence[Sequence[str]], context: ReadContext) -> None:
    """Refuse a table without header in which one column holds names and another 0 and 1.

    Raises:
        InvalidInput: it is one.
    """
    flags = [is_binary(cells, context) and _has_both(cells) for cells in columns]
    if any(flags) and not all(flags):
        raise InvalidInput(
            f"{path}: column {flags.index(True) + 2} holds yes and no beside names, and the table has no header.",
            hint="Give it a header: image,label,present (1: the image shows the class), or delete the column.",
        )


def by_statement(entries: list[Entry], statement: Statement | None, context: ReadContext) -> list[Entry]:
    """Return the entries, one per image, with what the statement says.

    Args:
        entries: one per row.
        statement: see `statement_of`; ``None``: the entries stay as they are.
        context: rules in force.

    Raises:
        InvalidInput: a value between 0 and 1 without a threshold, or an image in two splits.
    """
    if statement is None:
        return entries
    images: dict[str, dict[str, bool | None]] = {}
    first: dict[str, Entry] = {}
    for entry, cell in zip(entries, statement.cells, strict=True):
        require_one_split(first.setdefault(entry.image, entry), entry, repr(entry.image))
        there = context.presence(cell, f"{entry.where}: {statement.key!r}")
        said = images.setdefault(entry.image, {})
        for name in entry.labels or ():
            if context.rules.word(name) is Word.NEGATIVE and not there:  # "not ok" doesn't say which class it is
                said[UNKNOWN_MARK] = True
                continue
            if said.get(name, there) != there:
                context.note(CONTRADICTION, f"{entry.image}: {name!r} is both present and absent (see {entry.where})")
            said[name] = True if said.get(name) else there
    return [stated(image, said, first[image].where, first[image].split) for image, said in images.items()]


def objects_in(
    value: Any,
    where: str,
    separator: str | None,
    context: ReadContext,
) -> dict[str, bool | None] | None:
    """Return class → whether it is present for ``[{"label": "cat", "present": false}, …]``, or one such object.

    Args:
        value: labels as they stand in the file.
        where: of the value.
        separator: between names in a text.
        context: rules in force; takes a note.

    Returns:
        ``None`` where the value is something else: no object says whether its label is present.

    Raises:
        InvalidInput: what is said is neither yes nor no.
    """
    items = value if isinstance(value, list) else [value]
    keys = [_object_key(item, context) for item in items]
    if not any(keys):
        return None
    said: dict[str, bool | None] = {}
    for at, (item, key) in enumerate(zip(items, keys, strict=True)):
        place = f"{where}[{at}]" if isinstance(value, list) else where
        there: bool | None = True
        if key is not None:
            kind = NEGATION if is_one_of(key, ABSENT_KEYS) else FLAG if _is_clear(key) else CONFIDENCE
            context.note(kind, key)
            there = context.presence(_normal(key, [cell_of(item[key])], context)[0], f"{place}.{key}")
        for name in labels_in([item], where, separator):
            said[name] = either(said.get(name, False), there)
    return said


def _object_key(item: Any, context: ReadContext) -> str | None:
    """Return the key of an object with a label that says whether it is present."""
    label = find_key(item, LABEL_KEYS) if isinstance(item, dict) else None
    if label is None or not isinstance(item[label], str | list):
        return None
    for keys in ((*PRESENT_KEYS, *ABSENT_KEYS), CONFIDENCE_KEYS):
        key = find_key(item, keys)
        if key is None:
            continue
        text = cell_of(item[key])
        if _is_flag(key, _normal(key, [text], context), context) or (_is_clear(key) and not text):
            return key
    return None


def _is_clear(name: str) -> bool:
    return is_one_of(name, (*PRESENT_KEYS, *ABSENT_KEYS))


def _is_flag(name: str, cells: Sequence[str], context: ReadContext) -> bool:
    """Whether cells are yes and no, or shares; where most are, the others are mistakes, which are named."""
    return is_binary(cells, context, share=0.5, letters=True) or is_soft(cells, context)


def _normal(name: str, cells: Sequence[str], context: ReadContext) -> list[str]:
    """Return cells of yes and no as 1 and 0 (the other way round where a column says what is absent)."""
    own = {word.casefold() for word in (*(context.rules.negative or ()), *context.rules.unknown)}
    yes, no = ("0", "1") if is_one_of(name, ABSENT_KEYS) else ("1", "0")
    normal = []
    for cell in cells:
        text, number = cell.strip().casefold(), number_in(cell)
        if text in own:
            normal.append(cell)
        elif text in YES | PRESENT_WORDS or number == 1:
            normal.append(yes)
        elif text in NO | ABSENT_WORDS or number == 0:
            normal.append(no)
        elif number is not None and 0 < number < 1 and yes == "0":
            normal.append(f"{1 - number:g}")
        else:
            normal.append(cell)
    return normal


def _has_both(cells: Sequence[str]) -> bool:
    found = {cell.strip().casefold() for cell in cells}
    return any(cell in YES or number_in(cell) == 1 for cell in found) and any(
        cell in NO or number_in(cell) == 0 for cell in found
    )


def _refuse_unclear(columns: Mapping[str, Sequence[str]], path: Path, column: str) -> None:
    """Refuse a column of 0 and 1 that may say which labels are absent.

    Raises:
        InvalidInput: names the column.
    """
    for name, cells in columns.items():
        if _has_both(cells) and not is_one_of(name, ATTRIBUTE_KEYS):
            words = " and ".join(sorted({cell for cell in cells if cell}))
            raise InvalidInput(
                f"{path}: column {name!r} of {words} stands beside the labels in {column!r}: it may say whether the "
                "label's class is present.",
                hint=f"If it does, call it present (or absent, where 1 means absent); if every label counts as "
                f"present: --label-key {column or 'NAME'}; if it is a class: --label-key {name}",
            )


def _note_unused(key: str, cells: Sequence[str], context: ReadContext) -> None:
    """Note a column of confidences that are not all numbers from 0 to 1, with the first that is none."""
    wrong = (cell for cell in cells if not is_soft([cell], context) and context.rules.word(cell) is None)
    cell = next(wrong, None)
    if cell is not None:
        kind = "column of confidences that are not all from 0 to 1, not used: every label counts as present"
        context.note(kind, f"{key}, for example {cell!r}")
