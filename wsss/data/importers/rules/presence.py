"""Labels that state the presence of one class (yes and no) instead of naming classes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from wsss.data.importers.rules.imported_labels import Entry
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.readers.label_rules import (
    ALL_LABELS,
    BOX_KEYS,
    CONFIDENCE_KEYS,
    LABEL_KEYS,
    LETTERS,
    NO,
    YES,
    YES_AND_NO_LETTERS,
    Word,
    find_key,
    is_one_of,
    no_and_yes,
    number_in,
    resembles_label_key,
)


def is_binary(cells: Iterable[str], context: ReadContext, *, fraction: float = 1.0, letters: bool = False) -> bool:
    """Return whether a minimum fraction of the filled cells are 0 and 1, yes and no or the like.

    Args:
        cells: one column.
        fraction: minimum fraction of the filled cells; at least one cell must be filled.
        letters: also accept single letters such as ``x``; otherwise only in a column that contains only y and n.
    """
    filled = _filled(cells, context)
    if set(filled) == YES_AND_NO_LETTERS:
        return True
    words = YES | NO if letters else (YES | NO) - LETTERS
    return bool(filled) and sum(cell in words or number_in(cell) in (0, 1) for cell in filled) >= fraction * len(filled)


def is_soft(cells: Iterable[str], context: ReadContext) -> bool:
    """Return whether all filled cells (at least one) are numbers from 0 to 1."""
    numbers = [number_in(cell) for cell in _filled(cells, context)]
    return bool(numbers) and all(number is not None and 0 <= number <= 1 for number in numbers)


def is_of_one_class(
    name: str, cells: Sequence[str], columns: Collection[str], context: ReadContext, *, chosen: bool = False
) -> bool:
    """Return whether a column states the presence of one class, which has the column's name.

    Args:
        columns: names of all columns; in a table with a confidence or a box, 0 and 1 are class ids.
        context: rules; receives a note if 0 and 1 could be class names as well.
        chosen: ``--label-key`` names the column; if its name is usual, such as ``label``, it holds class names.
    """
    usual = is_one_of(name, LABEL_KEYS) or resembles_label_key(name)
    holds_names = chosen and usual
    decimals = any("." in cell or ("," in cell and not is_one_of(name, ALL_LABELS)) for cell in cells)
    if is_soft(cells, context) and (decimals or context.rules.soft is not None):
        return context.rules.soft is not None or not holds_names
    objects = find_key(columns, CONFIDENCE_KEYS) or find_key(columns, BOX_KEYS)
    if holds_names or objects or context.rules.negative == () or not is_binary(cells, context):
        return False
    if usual:
        words = " and ".join(sorted(set(_filled(cells, context))))
        context.note(f"column {name!r} of {words}, read as one class (--label-key {name}: {words} are classes)", name)
    return True


def yes_and_no(entries: list[Entry], context: ReadContext, *, digits: bool = True, what: str = "labels") -> list[Entry]:
    """Read two labels ``no`` and ``yes`` (``false`` and ``true``, ``0`` and ``1``) as absent and present.

    Args:
        entries: all entries; returned unchanged if one has several labels.
        context: rules; receives a note.
        digits: accept ``0`` and ``1``; in annotations of objects they are class names.
        what: noun for the labels in the note.
    """
    names = _names(entries)
    pair = no_and_yes(name for name in names if context.rules.word(name) is not Word.UNKNOWN)
    if pair is None or context.rules.negative is not None or (not digits and number_in(pair[0]) is not None):
        return entries
    no = {name for name in names if name.casefold() == pair[0]}
    if any(len(set(entry.labels or ())) > 1 for entry in entries):
        return entries
    context.note(f"{what} read as no class (--no-negatives: kept as classes)", *map(repr, sorted(no)))
    return [replace(entry, labels=(), explicit=True) if no & set(entry.labels or ()) else entry for entry in entries]


def without_negatives(entries: list[Entry], classes: list[str], context: ReadContext) -> tuple[list[Entry], list[str]]:
    """Return annotations of objects after `yes_and_no`, and their classes in order, without ``no``."""
    kept = yes_and_no(entries, context, digits=False)
    dropped = _names(entries) - _names(kept)
    return kept, [name for name in classes if name not in dropped]


def _names(entries: list[Entry]) -> set[str]:
    return {name for entry in entries for name in entry.labels or ()}


def _filled(cells: Iterable[str], context: ReadContext) -> list[str]:
    """Return the cells, in lower case, without empty ones and words for "no class" and "unknown"."""
    return [cell.strip().casefold() for cell in cells if context.rules.word(cell) is None]
