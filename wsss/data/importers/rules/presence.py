"""Labels that say yes and no of one class instead of naming classes: one rule for all readers."""

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
    sounds_like_labels,
)


def is_binary(cells: Iterable[str], context: ReadContext, *, share: float = 1.0, letters: bool = False) -> bool:
    """Whether at least a share of the filled cells are 0 and 1, yes and no or the like, and one is.

    Args:
        cells: of one column.
        context: rules in force.
        share: of the filled cells.
        letters: single letters such as ``x`` count, too; otherwise only where a column has y and n alone.
    """
    filled = _filled(cells, context)
    if set(filled) == YES_AND_NO_LETTERS:
        return True
    words = YES | NO if letters else (YES | NO) - LETTERS
    return bool(filled) and sum(cell in words or number_in(cell) in (0, 1) for cell in filled) >= share * len(filled)


def is_soft(cells: Iterable[str], context: ReadContext) -> bool:
    """Whether all filled cells are numbers from 0 to 1."""
    numbers = [number_in(cell) for cell in _filled(cells, context)]
    return bool(numbers) and all(number is not None and 0 <= number <= 1 for number in numbers)


def is_of_one_class(
    name: str, cells: Sequence[str], columns: Collection[str], context: ReadContext, *, chosen: bool = False
) -> bool:
    """Whether a column or key of labels says of one class, which is called like it, whether an image shows it.

    Args:
        name: of the column.
        cells: its texts.
        columns: names of all columns; beside a confidence or a box, 0 and 1 are the ids of classes.
        context: rules in force; takes a note where 0 and 1 could be names as well.
        chosen: ``--label-key`` names the column: one with a usual name such as ``label`` then holds names.
    """
    usual = is_one_of(name, LABEL_KEYS) or sounds_like_labels(name)
    names = chosen and usual
    decimals = any("." in cell or ("," in cell and not is_one_of(name, ALL_LABELS)) for cell in cells)
    if is_soft(cells, context) and (decimals or context.rules.soft is not None):
        return context.rules.soft is not None or not names
    beside = find_key(columns, CONFIDENCE_KEYS) or find_key(columns, BOX_KEYS)
    if names or beside or context.rules.negative == () or not is_binary(cells, context):
        return False
    if usual:
        words = " and ".join(sorted(set(_filled(cells, context))))
        kind = f"column {name!r} of {words}, read as one class (--label-key {name} reads {words} as classes)"
        context.note(kind, name)
    return True


def yes_and_no(entries: list[Entry], context: ReadContext, *, digits: bool = True, what: str = "labels") -> list[Entry]:
    """Read two labels ``no`` and ``yes`` (``false`` and ``true``, ``0`` and ``1``) as absent and present.

    Args:
        entries: an image has one of the two, or none.
        context: rules in force; takes a note.
        digits: whether ``0`` and ``1`` count; in annotations of objects they are names of classes.
        what: the labels are (``folders``).
    """
    names = _names(entries)
    pair = no_and_yes(name for name in names if context.rules.word(name) is not Word.UNKNOWN)
    if pair is None or context.rules.negative is not None or (not digits and number_in(pair[0]) is not None):
        return entries
    no = {name for name in names if name.casefold() == pair[0]}
    if any(len(set(entry.labels or ())) > 1 for entry in entries):
        return entries
    kind = f"{what} read as: no class is in the image (--no-negatives keeps them as classes)"
    context.note(kind, *map(repr, sorted(no)))
    return [replace(one, labels=(), explicit=True) if no & set(one.labels or ()) else one for one in entries]


def without_no(entries: list[Entry], classes: list[str], context: ReadContext) -> tuple[list[Entry], list[str]]:
    """Return entries as `yes_and_no` reads annotations of objects, and the classes in their order without ``no``."""
    read = yes_and_no(entries, context, digits=False)
    dropped = _names(entries) - _names(read)
    return read, [name for name in classes if name not in dropped]


def _names(entries: list[Entry]) -> set[str]:
    return {name for entry in entries for name in entry.labels or ()}


def _filled(cells: Iterable[str], context: ReadContext) -> list[str]:
    """Return the cells besides empty ones and words for absent and unknown."""
    return [cell.strip().casefold() for cell in cells if context.rules.word(cell) is None]
