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

from wsss.data.answers.answer_rows import COLUMNS as ANSWERS
from wsss.data.importers.formats import labelstudio_min
from wsss.data.importers.rules import wide_tables
from wsss.data.importers.rules.cells import LIST, names_in, separator_of
from wsss.data.importers.rules.collect_labels import collect
from wsss.data.importers.rules.imported_labels import Entry, Labels, class_name
from wsss.data.importers.rules.keys import label_key_of, label_keys
from wsss.data.importers.rules.presence import is_of_one_class, yes_and_no
from wsss.data.importers.rules.presence_column import apply_presence, presence_column, refuse_unnamed
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.importers.rules.split_names import split_in, split_keys
from wsss.data.readers.label_rules import ALL_LABELS, IMAGE_KEYS, is_one_of
from wsss.data.sample_ids import without_suffix
from wsss.errors import InvalidInput
from wsss.io.text.tables import from_cell
from wsss.io.text.text_files import read_text

DELIMITERS = (",", ";", "\t", "|")
_EXCEL_DELIMITER = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
"""First line in which Excel declares the delimiter."""

_FORMAT = "a table of labels (CSV)"


@dataclass(frozen=True)
class _Table:
    """Rows of cells with their line numbers; the header of a table that begins with an image is empty."""

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]

    def where(self, number: int) -> str:
        return f"{self.path}:{number}"

    def column(self, name: str) -> list[str]:
        at = self.header.index(name)
        return [row[at] for _, row in self.rows]

    def columns(self) -> dict[str, list[str]]:
        return {name: self.column(name) for name in self.header}

    def lines(self) -> list[wide_tables.Line]:
        return [(self.where(number), dict(zip(self.header, row, strict=True))) for number, row in self.rows]


def read(path: Path, context: ReadContext) -> Labels:
    """Read a CSV table of any of the three shapes; the delimiter is ``,`` ``;`` tab or ``|``.

    Without a ``separator``, labels in a cell are separated by the first of ``;`` ``|`` ``,`` that occurs, else by
    spaces (in a column with a singular name such as ``label``, and in a table without header, a cell is one name). A
    cell may also hold a printed list: see `wsss.data.importers.rules.cells`.

    Raises:
        InvalidInput: names file and line.
    """
    table, separator, label_key = _read_table(path), context.options.separator, context.options.label_key
    if not table.header:
        return _read_without_header(table, context)
    if table.header == ANSWERS:
        hint = (
            "Export the answers about whole images as labels: wsss ask IMAGES --answers FILE --export labels.csv\n"
            "Use those about tiles: wsss data tiles IMAGES OUT --answers FILE"
        )
        raise InvalidInput("a table of answers (wsss ask), not of labels", subject=path, hint=hint)
    keys = () if label_key is None else label_keys(label_key, table.header, path, what="column")
    if labelstudio_min.is_signed(table.header):
        _refuse("--separator", separator, path, "several choices in Label Studio's CSV are a list, not a string")
        return labelstudio_min.collect_records(path, _records(table), context)
    column = keys[0] if keys else _label_column(table, context)
    if len(keys) == 1 and is_of_one_class(keys[0], table.column(keys[0]), table.header, context, chosen=True):
        column = None
    if len(keys) > 1 or column is None:
        _refuse("--separator", separator, path, "the table has a column per class, and no strings to separate")
        return wide_tables.read(path, table.lines(), keys, context)
    return _read_long(table, column, context, chosen=bool(keys))


def _refuse(option: str, value: str | None, path: Path, reason: str) -> None:
    if value is not None:
        raise InvalidInput(reason, subject=f"{path}: {option}", hint=f"Omit {option}.")


def _read_without_header(table: _Table, context: ReadContext) -> Labels:
    for option, value in (("--label-key", context.options.label_key), ("--image-key", context.options.image_key)):
        _refuse(option, value, table.path, "the table has no header; its first column is the image, others are labels")
    columns = tuple(range(1, max(len(cells) for _, cells in table.rows)))
    refuse_unnamed(table.path, [[row[at] for _, row in table.rows if at < len(row)] for at in columns], context)
    entries = yes_and_no(_entries(table, 0, columns, context, one_name=True), context)
    return collect(_FORMAT, entries, context)


def _label_column(table: _Table, context: ReadContext) -> str | None:
    """Return the column of class names; ``None`` for a table with a column per class."""
    image = wide_tables.image_column(table.columns(), table.path, context)
    header = [name for name in table.header if name != image]
    column = label_key_of(header, table.path, context)
    if column is not None and is_of_one_class(column, table.column(column), header, context):
        return None
    return column


def _read_long(table: _Table, column: str, context: ReadContext, *, chosen: bool) -> Labels:
    """Read a table with a column of class names, one or several rows per image."""
    header = table.header
    image = wide_tables.image_column(table.columns(), table.path, context)
    one_name = not is_one_of(column, ALL_LABELS)
    entries = _entries(table, header.index(image), (header.index(column),), context, one_name=one_name)
    taken = (image, column, *split_keys(header))
    others = {name: cells for name, cells in table.columns().items() if name and name not in taken}
    classes = {name for entry in entries for name in entry.labels or ()}
    presence = presence_column(others, table.path, context, label_column=column, classes=classes, chosen=chosen)
    return collect(_FORMAT, apply_presence(entries, presence, context), context)


def _read_table(path: Path) -> _Table:
    text = read_text(path)
    first = _first_line(text)
    declared = _EXCEL_DELIMITER.fullmatch(first)
    if declared:
        text = text.replace(first, "", 1)  # an empty line remains, which keeps the line numbers
        first = _first_line(text)
    if not first:
        raise InvalidInput("the file is empty", subject=path)
    delimiter = (
        declared[1]
        if declared
        else max(DELIMITERS, key=lambda character: (_fits(first, character), first.count(character)))
    )
    if delimiter not in first:
        raise InvalidInput(
            subject=f"{path}:1",
            found=first,
            allowed="a table of at least two columns, separated by comma, semicolon, tab or |",
        )
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        filled = ((reader.line_num, row) for row in reader if any(map(str.strip, row)))
        rows = [(number, tuple(from_cell(cell.strip()) for cell in row)) for number, row in filled]
    except csv.Error as error:
        raise InvalidInput(f"not a CSV table ({error})", subject=f"{path}:{reader.line_num}") from error
    header = rows[0][1]
    if without_suffix(header[0]) != header[0]:  # an image, not the name of a column
        return _Table(path, (), tuple(rows))
    _check_rows(path, rows, delimiter)
    return _Table(path, header, tuple(rows[1:]))


def _check_rows(path: Path, rows: Sequence[tuple[int, tuple[str, ...]]], delimiter: str) -> None:
    """Require unique columns, and rows of as many cells as the header."""
    line, header = rows[0]
    twice = [name for name in header if name and header.count(name) > 1]
    if twice:
        raise InvalidInput(
            f"duplicate column {twice[0]!r}", subject=f"{path}:{line}", hint="Rename or delete one of the two columns."
        )
    for number, cells in rows[1:]:
        if len(cells) != len(header):
            raise InvalidInput(
                "wrong number of cells",
                subject=f"{path}:{number}",
                found=len(cells),
                allowed=f"{len(header)}, as in the header",
                hint=_cells_hint(delimiter),
            )
    if len(rows) == 1:
        raise InvalidInput("the table has a header but no rows", subject=path)


def _cells_hint(delimiter: str) -> str:
    """Return the hint for a row with too many or too few cells: labels of one image belong in one cell."""
    inner = next(separator for separator in ("|", ";", ",") if separator != delimiter)
    return (
        f"Cells are separated by {delimiter!r}. Put a cell that contains this character between double quotes, or "
        f"separate several labels in one cell by {inner!r} (cat{inner}dog)."
    )


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "")


def _fits(line: str, delimiter: str) -> bool:
    """Return whether the first cell of the first line is then a column of images, or an image."""
    cell = line.partition(delimiter)[0].strip(' "')
    return delimiter in line and (is_one_of(cell, IMAGE_KEYS) or without_suffix(cell) != cell)


def _records(table: _Table) -> list[labelstudio_min.Record]:
    """Return the rows as records of JSON-MIN: their filled cells, in which several choices are JSON."""
    return [(where, {name: _value(cell) for name, cell in cells.items() if cell}) for where, cells in table.lines()]


def _value(cell: str) -> Any:
    try:
        return json.loads(cell) if cell.startswith(("{", "[")) else cell
    except (ValueError, RecursionError):
        return cell


def _entries(
    table: _Table, image_at: int, labels_at: Sequence[int], context: ReadContext, *, one_name: bool
) -> list[Entry]:
    """Return an entry per row, its labels as in the cells; ``one_name``: spaces do not separate labels."""
    cells = [row[column] for _, row in table.rows for column in labels_at if column < len(row)]
    cells = [cell for cell in cells if context.rules.word(cell) is None]  # "no finding" is one label
    separator = context.options.separator
    if separator is None:
        separator = separator_of(cells)
        spaces = separator is None and any(" " in cell for cell in cells if not LIST.fullmatch(cell))
        if spaces and not one_name:
            separator = " "
        if spaces and (not table.header or not one_name):
            example = next(cell for cell in cells if " " in cell)
            kind = f"cells with spaces, read as {'one label each' if one_name else 'several labels'}"
            context.note(kind, f"{table.path}: {example!r}, for example (--separator SEP: another separator)")
    entries = []
    for number, row in table.rows:
        where = table.where(number)
        cells = [row[column] for column in labels_at if column < len(row)]
        names = [name for cell in cells for name in _names_in(cell, separator, where, context)]
        labels = tuple(class_name(name, where) for name in names)
        split = split_in(dict(zip(table.header, row, strict=True)), where) if table.header else None
        entries.append(Entry(wide_tables.image_in(row[image_at], where), labels, where, split))
    return entries


def _names_in(cell: str, separator: str | None, where: str, context: ReadContext) -> list[str]:
    """Return the names in a cell; a word such as "no finding" is not split."""
    return names_in(cell, None if cell and context.rules.word(cell) is not None else separator, where)
