"""Label tables in CSV: ``image,labels`` (all labels in one cell, or one per row), or a column of 0 and 1 per class."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsss.data.importers.formats import labelstudio_min
from wsss.data.importers.rules import wide_tables
from wsss.data.importers.rules.cells import LIST, names_in, separator_of
from wsss.data.importers.rules.imported_labels import Entry, Labels, class_name, collect
from wsss.data.importers.rules.keys import label_key_of
from wsss.data.importers.rules.presence import is_of_one_class, yes_and_no
from wsss.data.importers.rules.presence_column import by_statement, refuse_unnamed, statement_of
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.importers.rules.split_names import split_in, split_keys
from wsss.data.readers.label_rules import (
    ALL_LABELS,
    IMAGE_KEYS,
    is_one_of,
    plain,
)
from wsss.data.sample_ids import without_suffix
from wsss.errors import InvalidInput, closest, counted, listing
from wsss.io.text.tables import from_cell
from wsss.io.text.text_files import read_text

DELIMITERS = (",", ";", "\t", "|")
EXCELS_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
"""The line that Excel understands as the delimiter of what follows."""


@dataclass(frozen=True)
class _Table:
    """Rows of cells with their line numbers; ``header`` is ``None`` for a table that begins with an image."""

    path: Path
    header: tuple[str, ...] | None
    rows: tuple[tuple[int, tuple[str, ...]], ...]

    def where(self, number: int) -> str:
        return f"{self.path}:{number}"

    def column(self, name: str) -> list[str]:
        place = (self.header or ()).index(name)
        return [row[place] for _, row in self.rows]

    def columns(self) -> dict[str, list[str]]:
        return {name: self.column(name) for name in self.header or ()}

    def lines(self) -> list[wide_tables.Line]:
        header = self.header or ()
        return [(self.where(number), dict(zip(header, row, strict=True))) for number, row in self.rows]


def read(
    path: Path, *, separator: str | None = None, label_key: str | None = None, context: ReadContext | None = None
) -> Labels:
    """Read a CSV table of any of the three shapes; the delimiter is ``,`` ``;`` tab or ``|``, as the file has it.

    Args:
        path: the table, UTF-8.
        separator: what stands between labels in a cell; by default the first of ``;`` ``|`` ``,`` that occurs in any,
            else a space (in a column whose name is singular, such as ``label``, and in a table without header, a cell
            is one name). A cell may hold a printed list, too: see `wsss.data.importers.rules.cells`.
        label_key: column of the labels, or several columns of 0 and 1 (``cat,dog``); by default one that is called
            label, labels or the like.
        context: rules in force.

    Raises:
        InvalidInput: names file and line.
    """
    context, table = context or ReadContext(), _read_table(path)
    keys = _label_keys(label_key, table)
    if table.header is None:
        _refuse("--image-key", context.image_key, path, "the table has no header; its first column is the image.")
        columns = tuple(range(1, max(len(cells) for _, cells in table.rows)))
        refuse_unnamed(path, [[row[at] for _, row in table.rows if at < len(row)] for at in columns], context)
        entries = yes_and_no(_named(table, 0, columns, separator, context, one=True), context)
        return collect("a table of labels (CSV)", entries, context=context)
    if labelstudio_min.is_signed(table.header):
        _refuse("--separator", separator, path, "in Label Studio's CSV several choices are a list, not a text.")
        return labelstudio_min.collect_records(path, _records(table), label_key=label_key, context=context)
    column = keys[0] if keys else _label_column(table, context)
    if len(keys) == 1 and is_of_one_class(keys[0], table.column(keys[0]), table.header, context, chosen=True):
        column = None
    if len(keys) > 1 or column is None:
        _refuse("--separator", separator, path, "the table has a column per class, and no texts to separate.")
        return wide_tables.read(path, table.lines(), keys, context)
    return _long(table, column, separator, context, chosen=bool(keys))


def _refuse(option: str, value: str | None, path: Path, reason: str) -> None:
    """Refuse an option that doesn't apply to a table of this shape.

    Raises:
        InvalidInput: it has a value.
    """
    if value is not None:
        raise InvalidInput(f"{path}: {option}: {reason}", hint=f"Leave {option} out.")


def _label_keys(label_key: str | None, table: _Table) -> tuple[str, ...]:
    """Return the columns that ``--label-key`` names."""
    if label_key is None:
        return ()
    header = table.header or ()
    names = (label_key,) if label_key in header else tuple(name.strip() for name in label_key.split(","))
    for name in names:
        if name not in header:
            found = f"the header is {listing(header, limit=12)}" if header else "the table has no header"
            raise InvalidInput(
                f"{table.path}:1: --label-key {name}: there is no such column; {found}{closest(name, header)}"
            )
    return names


def _label_column(table: _Table, context: ReadContext) -> str | None:
    """Return the column that holds class names; ``None`` for a table with a column per class.

    Raises:
        InvalidInput: several columns may be it.
    """
    image = wide_tables.image_column(table.columns(), table.path, context)
    header = [name for name in table.header or () if name != image]
    found = label_key_of(header, table.path, context)
    if found is not None and is_of_one_class(found, table.column(found), header, context):
        return None
    return found


def _long(table: _Table, column: str, separator: str | None, context: ReadContext, *, chosen: bool) -> Labels:
    """Read a table with a column of class names, one or several rows per image."""
    header = table.header or ()
    image = wide_tables.image_column(table.columns(), table.path, context)
    one = plain(column) not in map(plain, ALL_LABELS)
    entries = _named(table, header.index(image), (header.index(column),), separator, context, one=one)
    taken = (image, column, *split_keys(header))
    others = {name: cells for name, cells in table.columns().items() if name and name not in taken}
    classes = {name for entry in entries for name in entry.labels or ()}
    statement = statement_of(others, table.path, context, column=column, classes=classes, chosen=chosen)
    return collect("a table of labels (CSV)", by_statement(entries, statement, context), context=context)


def _read_table(path: Path) -> _Table:
    text = read_text(path)
    first = _first_line(text)
    told = EXCELS_SEPARATOR.fullmatch(first)
    if told:
        text = text.replace(first, "", 1)  # the line stays, so that the others keep their numbers
        first = _first_line(text)
    if not first:
        raise InvalidInput(f"{path}: the file is empty.")
    delimiter = told[1] if told else max(DELIMITERS, key=lambda sign: (_names_an_image(first, sign), first.count(sign)))
    if delimiter not in first:
        raise InvalidInput(
            f"{path}:1: found {first[:80]!r}; expected a table of two columns or more, separated by a comma, a "
            "semicolon, a tab or |."
        )
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        filled = ((reader.line_num, row) for row in reader if any(map(str.strip, row)))
        rows = [(number, tuple(from_cell(cell.strip()) for cell in row)) for number, row in filled]
    except csv.Error as error:
        raise InvalidInput(f"{path}:{reader.line_num}: not a CSV table ({error}).") from error
    header = rows[0][1]
    if without_suffix(header[0]) != header[0]:  # an image, not the name of a column
        return _Table(path, None, tuple(rows))
    twice = [name for name in header if name and header.count(name) > 1]
    if twice:
        raise InvalidInput(
            f"{path}:{rows[0][0]}: duplicate column {twice[0]!r}.", hint="Rename or delete one of the two columns."
        )
    for number, cells in rows[1:]:
        if len(cells) != len(header):
            raise InvalidInput(
                f"{path}:{number}: the row has {counted(len(cells), 'cell')}, the header {len(header)}.",
                hint=_cells_hint(delimiter),
            )
    if len(rows) == 1:
        raise InvalidInput(f"{path}: the table has a header and no row.")
    return _Table(path, header, tuple(rows[1:]))


def _cells_hint(delimiter: str) -> str:
    """Return the hint for a row with too many or too few cells: one column holds all labels of an image."""
    inner = next(sign for sign in ("|", ";", ",") if sign != delimiter)
    return (
        f"The cells are separated by {delimiter!r}. Put a cell that holds this character between double quotes, or "
        f"separate several labels in one cell by {inner!r} (cat{inner}dog)."
    )


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "")


def _names_an_image(line: str, delimiter: str) -> bool:
    """Whether a first line's first cell is a column of images, or an image, once it is cut at ``delimiter``."""
    cell = line.partition(delimiter)[0].strip(' "')
    return delimiter in line and (is_one_of(cell, IMAGE_KEYS) or without_suffix(cell) != cell)


def _records(table: _Table) -> list[labelstudio_min.Record]:
    """Return the rows as records of JSON-MIN: their filled cells, in which several choices are JSON."""
    header = table.header or ()
    return [
        (table.where(number), {name: _value(cell) for name, cell in zip(header, row, strict=True) if cell})
        for number, row in table.rows
    ]


def _value(cell: str) -> Any:
    try:
        return json.loads(cell) if cell.startswith(("{", "[")) else cell
    except (ValueError, RecursionError):
        return cell


def _named(
    table: _Table,
    image_at: int,
    labels_at: Sequence[int],
    separator: str | None,
    context: ReadContext,
    *,
    one: bool,
) -> list[Entry]:
    """Return an entry per row, its labels as they stand in the cells."""
    cells = [row[column] for _, row in table.rows for column in labels_at if column < len(row)]
    cells = [cell for cell in cells if context.rules.word(cell) is None]  # "no finding" is one label
    if separator is None:
        separator = separator_of(cells)
        spaces = separator is None and any(" " in cell for cell in cells if not LIST.fullmatch(cell))
        if spaces and not one:
            separator = " "
        if spaces and (table.header is None or not one):
            read_as = "one label each" if one else "several labels"
            example = next(cell for cell in cells if " " in cell)
            note = f"{table.path}: {example!r}, for example (--separator says otherwise)"
            context.note(f"cells with spaces, read as {read_as}", note)
    entries = []
    for number, row in table.rows:
        where = table.where(number)
        words = [row[column] for column in labels_at if column < len(row)]
        names = [name for word in words for name in _names_in(word, separator, where, context)]
        labels = tuple(class_name(name, where) for name in names)
        split = split_in(dict(zip(table.header, row, strict=True)), where) if table.header else None
        entries.append(Entry(wide_tables.image_in(row[image_at], where), labels, where, split))
    return entries


def _names_in(cell: str, separator: str | None, where: str, context: ReadContext) -> list[str]:
    """Return the names in a cell; one that is as a whole a word such as "no finding" is not cut."""
    return names_in(cell, None if cell and context.rules.word(cell) is not None else separator, where)
