"""A column in addition to the labels that states whether their class is present: a confidence, or yes and no."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from wsss.data.importers.rules.imported_labels import Entry, explicit_entry
from wsss.data.importers.rules.joined_entries import CONTRADICTION, require_one_split
from wsss.data.importers.rules.presence import is_binary, is_soft
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.readers.label_rules import (
    ABSENT_KEYS,
    ABSENT_WORDS,
    ATTRIBUTE_KEYS,
    CONFIDENCE_KEYS,
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
from wsss.errors import InvalidInput

_FLAG = "column read as: the label's class is {} (rename or delete the column if it means something else)"
_CONFIDENCE = "column of confidences: 1, the label's class is present; 0, it is absent"
_LEFT_OUT = "columns of 0 and 1 next to the label column, left out (--label-key A,B: read as classes)"
_UNUSED = "confidences that are not all from 0 to 1, not used: every label is treated as present"


class PresenceColumn(NamedTuple):
    """A column with the presence of the label's class: its name, and 0, 1 or a confidence per row."""

    key: str
    cells: tuple[str, ...]


def presence_column(
    columns: Mapping[str, Sequence[str]],
    path: Path,
    context: ReadContext,
    *,
    label_column: str,
    classes: Collection[str] = (),
    chosen: bool = False,
) -> PresenceColumn | None:
    """Return the column that states whether the label's class is present; ``None`` if there is none.

    Args:
        columns: name → cells; all columns but those of the image, the labels and the split.
        path: path of the file, for error messages.
        context: rules; receives the notes.
        classes: names in the label column; a column with such a name states the presence of that class.
        chosen: ``--label-key`` names the label column; columns with unclear names are then left out.

    Raises:
        InvalidInput: several such columns, or a column of 0 and 1 with an unclear name.
    """
    normalised = {name: flag_cells(name, cells, context) for name, cells in columns.items() if is_flag_key(name)}
    flags = {name: cells for name, cells in normalised.items() if are_flags(cells, context)}
    if len(flags) > 1:
        raise InvalidInput(
            "several columns may state whether a label's class is present",
            subject=path,
            found=list(flags),
            hint="Keep one of them in the file.",
        )
    confidence = find_key(columns, CONFIDENCE_KEYS)
    for name, cells in flags.items():
        note_presence_key(name, context)
        context.resolve_minus_one(cells, str(path))
        if confidence is not None:
            context.note("column of confidences, not used: another column states which labels are present", confidence)
        return PresenceColumn(name, tuple(cells))
    soft = confidence is not None and is_soft(columns[confidence], context)
    others = [name for name in columns if name != confidence and is_binary(columns[name], context)]
    if not soft and not chosen:
        _refuse_unclear({name: columns[name] for name in others if name not in classes}, path, label_column)
    context.note(_LEFT_OUT, *others)
    if confidence is None:
        return None
    if not soft:
        _note_unused(confidence, columns[confidence], context)
        return None
    note_presence_key(confidence, context)
    return PresenceColumn(confidence, tuple(columns[confidence]))


def note_presence_key(key: str, context: ReadContext) -> None:
    """Note how a presence column, or key of an object, is read."""
    if is_flag_key(key):
        context.note(_FLAG.format("absent" if is_one_of(key, ABSENT_KEYS) else "present"), key)
    else:
        context.note(_CONFIDENCE, key)


def default_flag(key: str) -> str | None:
    """Return the flag of a record without a key: its label is present; ``None`` for other keys."""
    return "0" if is_one_of(key, ABSENT_KEYS) else "1" if is_one_of(key, PRESENT_KEYS) else None


def is_flag_key(name: str) -> bool:
    """Return whether a name such as ``present`` or ``negated`` is that of a presence column."""
    return is_one_of(name, (*PRESENT_KEYS, *ABSENT_KEYS))


def are_flags(cells: Sequence[str], context: ReadContext) -> bool:
    """Return whether cells are confidences, or mostly yes and no; other cells are reported as mistakes later."""
    return is_binary(cells, context, fraction=0.5, letters=True) or is_soft(cells, context)


def flag_cells(name: str, cells: Sequence[str], context: ReadContext) -> list[str]:
    """Return cells of yes and no as 1 and 0, or as 0 and 1 if the column states what is absent."""
    own = {word.casefold() for word in (*(context.rules.negative or ()), *context.rules.unknown)}
    yes, no = ("0", "1") if is_one_of(name, ABSENT_KEYS) else ("1", "0")
    flags = []
    for cell in cells:
        text, number = cell.strip().casefold(), number_in(cell)
        if text in own:
            flags.append(cell)
        elif text in YES | PRESENT_WORDS or number == 1:
            flags.append(yes)
        elif text in NO | ABSENT_WORDS or number == 0:
            flags.append(no)
        elif number is not None and 0 < number < 1 and yes == "0":
            flags.append(f"{1 - number:g}")
        else:
            flags.append(cell)
    return flags


def refuse_unnamed(path: Path, columns: Sequence[Sequence[str]], context: ReadContext) -> None:
    """Reject a table without header in which one column holds names and another 0 and 1.

    Raises:
        InvalidInput: names the column.
    """
    flags = [is_binary(cells, context) and _has_both(cells) for cells in columns]
    if any(flags) and not all(flags):
        raise InvalidInput(
            f"column {flags.index(True) + 2} seems to contain presence flags (0/1 or yes/no), but the table has no "
            "header",
            subject=path,
            hint="Add a header: image,label,present (1: the image shows the class), or delete the column.",
        )


def apply_presence(entries: list[Entry], column: PresenceColumn | None, context: ReadContext) -> list[Entry]:
    """Return one entry per image, with the presence of its labels.

    Args:
        entries: one per row.
        column: see `presence_column`; ``None``: the entries are returned unchanged.

    Raises:
        InvalidInput: a value between 0 and 1 without a threshold, or an image in two splits.
    """
    if column is None:
        return entries
    images: dict[str, dict[str, bool | None]] = {}
    first: dict[str, Entry] = {}
    for entry, cell in zip(entries, column.cells, strict=True):
        require_one_split(first.setdefault(entry.image, entry), entry, repr(entry.image))
        present = context.presence(cell, f"{entry.where}: {column.key!r}")
        classes = images.setdefault(entry.image, {})
        for name in entry.labels or ():
            if context.rules.word(name) is Word.NEGATIVE and not present:  # "not ok" leaves the class open
                classes[UNKNOWN_MARK] = True
                continue
            if classes.get(name, present) != present:
                context.note(CONTRADICTION, f"{entry.image}: {name!r} is both present and absent (see {entry.where})")
            classes[name] = True if classes.get(name) else present
    return [explicit_entry(image, classes, first[image].where, first[image].split) for image, classes in images.items()]


def _has_both(cells: Sequence[str]) -> bool:
    values = {cell.strip().casefold() for cell in cells}
    yes = any(value in YES or number_in(value) == 1 for value in values)
    return yes and any(value in NO or number_in(value) == 0 for value in values)


def _refuse_unclear(columns: Mapping[str, Sequence[str]], path: Path, label_column: str) -> None:
    """Reject a column of 0 and 1 that may state which labels are absent."""
    for name, cells in columns.items():
        if _has_both(cells) and not is_one_of(name, ATTRIBUTE_KEYS):
            words = " and ".join(sorted({cell for cell in cells if cell}))
            raise InvalidInput(
                f"the column {name!r} ({words}) may state whether the class in column {label_column!r} is present",
                subject=path,
                hint="If it does, rename it to present (or to absent, if 1 means absent); if every label is present: "
                f"--label-key {label_column or 'NAME'}; if it is a class: --label-key {name}",
            )


def _note_unused(key: str, cells: Sequence[str], context: ReadContext) -> None:
    """Note a column of confidences with a cell that is not a number from 0 to 1."""
    invalid = (cell for cell in cells if not is_soft([cell], context) and context.rules.word(cell) is None)
    cell = next(invalid, None)
    if cell is not None:
        context.note(_UNUSED, f"{key}, for example {cell!r}")
