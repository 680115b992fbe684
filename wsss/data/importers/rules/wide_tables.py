"""Tables with a column of 0 and 1 per class: CSV, or JSON records whose values are 0 and 1."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from wsss.data.importers.rules.imported_labels import Entry, Labels, class_name, collect, stated
from wsss.data.importers.rules.keys import columns_of, image_key
from wsss.data.importers.rules.presence import is_binary, is_soft
from wsss.data.importers.rules.read_context import SOFT_MEND, ReadContext
from wsss.data.importers.rules.split_names import split_in, split_keys
from wsss.data.readers.label_rules import (
    ATTRIBUTE_KEYS,
    BOX_KEYS,
    find_key,
    is_one_of,
    number_in,
)
from wsss.errors import InvalidInput, listing

Line = tuple[str, Mapping[str, str]]
"""``"file:line"``, and column → cell."""

COLUMNS_MEND = "Name the column of the labels: --label-key NAME; or the columns of 0 and 1: --label-key A,B"


def read(path: Path, lines: Sequence[Line], columns: Sequence[str], context: ReadContext) -> Labels:
    """Read a table with a column per class.

    Args:
        path: of the file, for messages.
        lines: the rows.
        columns: those of the classes; by default all of 0 and 1 that don't describe the image or an object in it.
        context: rules in force.

    Raises:
        InvalidInput: no such column, a cell that is neither 0 nor 1, soft labels without a threshold, or an image that
            has two rows.
    """
    header = list(lines[0][1])
    image = image_column(columns_of(cells for _, cells in lines), path, context)
    others = [name for name in header if name not in (image, *split_keys(header)) and name]
    chosen = tuple(columns) or _class_columns(path, lines, others, context)
    left = [name for name in others if name not in chosen]
    context.note("columns that are not classes, left out (--label-key A,B names the columns of classes)", *left)
    names = {column: class_name(column, f"{path}:1") for column in chosen}
    context.settle_minus_one((cells[column] for _, cells in lines for column in chosen), str(path))
    entries: dict[str, Entry] = {}
    for where, cells in lines:
        name = image_in(cells[image], where)
        if name in entries:
            raise InvalidInput(
                f"{where}: image {name!r} comes twice; the first time is at {entries[name].where}.",
                hint="Give each image one row.",
            )
        found = {names[c]: context.presence(cells[c], f"{where}: column {c!r}") for c in chosen}
        entries[name] = stated(name, found, where, split_in(cells, where))
    return collect("a table with a column per class", entries.values(), tuple(names.values()), context=context)


def image_column(columns: Mapping[str, Sequence[str]], path: Path, context: ReadContext) -> str:
    """Return the column that names the image (see `image_key`), else the first, which is noted.

    Args:
        columns: name → cells, in the order of the header.
        path: of the file.
        context: rules in force.

    Raises:
        InvalidInput: several columns may be it, or there is none of the name that is asked for.
    """
    found = image_key(columns, path, context)
    if found is not None:
        return found
    first = next(iter(columns))
    context.note("image read from the first column (--image-key NAME reads another)", f"{path}: {first!r}")
    return first


def image_in(cell: str, where: str) -> str:
    """Return the image that a cell names.

    Raises:
        InvalidInput: none.
    """
    if not cell:
        raise InvalidInput(f"{where}: no image is named in this row.")
    return cell


def _class_columns(
    path: Path, lines: Sequence[Line], candidates: Sequence[str], context: ReadContext
) -> tuple[str, ...]:
    """Return the columns of 0 and 1, and with a threshold those of soft labels, that may be classes."""
    may_be = [name for name in candidates if not is_one_of(name, ATTRIBUTE_KEYS)]
    cells = {name: [row[name] for _, row in lines] for name in may_be}
    # Where most cells are 0 and 1, the others are mistakes, which are named one by one.
    binary = [name for name in may_be if is_binary(cells[name], context, share=0.5, letters=True)]
    soft = [name for name in may_be if name not in binary and is_soft(cells[name], context)]
    box = find_key(candidates, BOX_KEYS)
    if box is not None:
        raise InvalidInput(
            f"{path}:1: column {box!r} describes objects, and no column names their classes; the header is "
            f"{listing(candidates, limit=12)}.",
            hint=COLUMNS_MEND,
        )
    if soft and context.rules.soft is None:
        example = next((cell for cell in cells[soft[0]] if (number_in(cell) or 0) % 1), "")
        hint = f"{SOFT_MEND} If it is not a class, name the columns that are: --label-key A,B" if binary else SOFT_MEND
        raise InvalidInput(
            f"{path}:1: column {soft[0]!r} holds soft labels ({example}); labels of training images are 0 or 1.",
            hint=hint,
        )
    chosen = [name for name in may_be if name in binary or (name in soft and context.rules.soft is not None)]
    if not chosen:
        header = lines[0][1]
        raise InvalidInput(
            f"{path}:1: no column of labels. The header is {listing(header, limit=12)}"
            f"{_taken(header, candidates)}; expected a column labels or label, or one column of 0 and 1 per class.",
            hint=_hint(candidates),
        )
    return tuple(chosen)


def _taken(header: Iterable[str], candidates: Sequence[str]) -> str:
    """Return which columns of a header are taken for the image and the split, in words for a message."""
    taken = [name for name in header if name and name not in candidates]
    splits = split_keys(header)
    images = [name for name in taken if name not in splits]
    said = [f"{name} names the images" for name in images] + [f"{name} the splits" for name in splits if name in taken]
    return f" ({listing(said)})" if said else ""


def _hint(candidates: Sequence[str]) -> str:
    if len(candidates) != 1:
        return COLUMNS_MEND
    return f"If the labels are in the column {candidates[0]}: --label-key {shlex.quote(candidates[0])}"
