"""Tables with a column of 0 and 1 per class: CSV, or JSON records whose values are 0 and 1."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from wsss.data.importers.rules.collect_labels import collect
from wsss.data.importers.rules.imported_labels import Entry, Labels, class_name, explicit_entry
from wsss.data.importers.rules.keys import columns_of, image_key
from wsss.data.importers.rules.presence import is_binary, is_soft
from wsss.data.importers.rules.read_context import SOFT_HINT, ReadContext
from wsss.data.importers.rules.split_names import split_in, split_keys
from wsss.data.readers.label_rules import ATTRIBUTE_KEYS, BOX_KEYS, find_key, is_one_of, number_in
from wsss.errors import InvalidInput, listing

Line = tuple[str, Mapping[str, str]]
"""``"file:line"``, and column → cell."""

_COLUMNS_HINT = "Set the label column: --label-key NAME, or the 0/1 columns: --label-key A,B"


def read(path: Path, lines: Sequence[Line], columns: Sequence[str], context: ReadContext) -> Labels:
    """Read a table with a column per class.

    Args:
        path: path of the file, for error messages.
        columns: those of the classes; by default all of 0 and 1 that do not describe the image or an object in it.

    Raises:
        InvalidInput: no such column, a cell other than 0 and 1, soft labels without a threshold, or two rows for an
            image.
    """
    header = list(lines[0][1])
    image = image_column(columns_of(cells for _, cells in lines), path, context)
    others = [name for name in header if name not in (image, *split_keys(header)) and name]
    chosen = tuple(columns) or _class_columns(path, lines, others, context)
    left_out = [name for name in others if name not in chosen]
    context.note("columns other than classes, left out (--label-key A,B: the columns of the classes)", *left_out)
    names = {column: class_name(column, f"{path}:1") for column in chosen}
    context.resolve_minus_one((cells[column] for _, cells in lines for column in chosen), str(path))
    entries: dict[str, Entry] = {}
    for where, cells in lines:
        name = image_in(cells[image], where)
        if name in entries:
            raise InvalidInput(
                f"duplicate image {name!r}; the first is at {entries[name].where}",
                subject=where,
                hint="Give each image one row.",
            )
        presence = {names[c]: context.presence(cells[c], f"{where}: column {c!r}") for c in chosen}
        entries[name] = explicit_entry(name, presence, where, split_in(cells, where))
    return collect("a table with a column per class", entries.values(), context, classes=tuple(names.values()))


def image_column(columns: Mapping[str, Sequence[str]], path: Path, context: ReadContext) -> str:
    """Return the column of the image (see `image_key`), by default the first, which is noted.

    Raises:
        InvalidInput: several candidates, or no column of the chosen name.
    """
    key = image_key(columns, path, context)
    if key is not None:
        return key
    first = next(iter(columns))
    context.note("image taken from the first column (--image-key NAME: another)", f"{path}: {first!r}")
    return first


def image_in(cell: str, where: str) -> str:
    """Return the image that a cell names.

    Raises:
        InvalidInput: the cell is empty.
    """
    if not cell:
        raise InvalidInput("no image in this row", subject=where)
    return cell


def _class_columns(
    path: Path, lines: Sequence[Line], candidates: Sequence[str], context: ReadContext
) -> tuple[str, ...]:
    """Return the columns of 0 and 1, and with a threshold those of soft labels, that may be classes."""
    columns = {name: [row[name] for _, row in lines] for name in candidates if not is_one_of(name, ATTRIBUTE_KEYS)}
    # In a column that is mostly 0 and 1, other cells are mistakes, which are reported one by one.
    binary = [name for name, cells in columns.items() if is_binary(cells, context, fraction=0.5, letters=True)]
    soft = [name for name, cells in columns.items() if name not in binary and is_soft(cells, context)]
    box = find_key(candidates, BOX_KEYS)
    if box is not None:
        raise InvalidInput(
            f"column {box!r} describes objects, and no column names their classes",
            subject=f"{path}:1",
            found=candidates,
            hint=_COLUMNS_HINT,
        )
    if soft and context.rules.soft is None:
        example = next((cell for cell in columns[soft[0]] if (number_in(cell) or 0) % 1), "")
        raise InvalidInput(
            "soft labels need a threshold",
            subject=f"{path}:1: column {soft[0]!r}",
            found=example,
            allowed="0 or 1",
            hint=f"{SOFT_HINT} If it is not a class, set the columns that are: --label-key A,B"
            if binary
            else SOFT_HINT,
        )
    chosen = [name for name in columns if name in binary or (name in soft and context.rules.soft is not None)]
    if not chosen:
        raise _no_labels(path, lines[0][1], candidates)
    return tuple(chosen)


def _no_labels(path: Path, header: Iterable[str], candidates: Sequence[str]) -> InvalidInput:
    splits = split_keys(header)
    taken = [name for name in header if name and name not in candidates]
    roles = [f"{name} {'names the splits' if name in splits else 'names the images'}" for name in taken]
    hint = _COLUMNS_HINT
    if len(candidates) == 1:
        hint = f"If the labels are in the column {candidates[0]}: --label-key {shlex.quote(candidates[0])}"
    return InvalidInput(
        f"no label column{f' ({listing(roles)})' if roles else ''}",
        subject=f"{path}:1",
        found=list(header),
        allowed="a column labels or label, or one 0/1 column per class",
        hint=hint,
    )
