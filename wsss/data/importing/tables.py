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

from wsss.data.importing import labelstudio_min
from wsss.data.importing.cells import LIST, names_in, separator_of
from wsss.data.importing.labels import Entry, Labels, Note, class_name, collect
from wsss.data.importing.records import LABEL_MEND
from wsss.data.lists import read_text, without_suffix
from wsss.errors import InvalidInput, listing

DELIMITERS = (",", ";", "\t", "|")
IMAGE_COLUMNS = (
    *("image", "image_id", "imageid", "img", "file", "filename", "file_name", "filepath", "path", "image_path"),
    *("image_name", "name", "id"),
)
ONE_LABEL = ("label", "class", "category", "tag", "target", "choice")
ALL_LABELS = ("labels", "classes", "categories", "tags", "targets", "choices")
SPLIT_COLUMNS = ("split", "set", "subset")
EXCELS_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
"""The line that Excel understands as the delimiter of what follows."""

YES = frozenset({"1", "1.0", "true", "yes", "y", "x", "t"})
NO = frozenset({"0", "0.0", "-1", "-1.0", "false", "no", "n", "f", ""})
LETTERS = frozenset({"y", "x", "t", "n", "f"})
"""Those of `YES` and `NO` that are names of classes in a column that is called label or labels."""


@dataclass(frozen=True)
class _Table:
    """Rows of cells with their line numbers; ``header`` is ``None`` for a table that begins with an image."""

    path: Path
    header: tuple[str, ...] | None
    rows: tuple[tuple[int, tuple[str, ...]], ...]

    def where(self, number: int) -> str:
        return f"{self.path}:{number}"


def read(path: Path, *, separator: str | None = None, label_key: str | None = None) -> Labels:
    """Read a CSV table of any of the three shapes; the delimiter is ``,`` ``;`` tab or ``|``, as the file has it.

    Args:
        path: the table, UTF-8.
        separator: what stands between labels in a cell; by default the first of ``;`` ``|`` ``,`` that occurs in any,
            else a space (in a column whose name is singular, such as ``label``, and in a table without header, a cell
            is one name). A cell may hold a printed list, too: see `wsss.data.importing.cells`.
        label_key: column of the labels; by default one that is called label, labels or the like.

    Raises:
        InvalidInput: names file and line.
    """
    table = _read_table(path)
    if label_key is not None and label_key not in (table.header or ()):
        found = f"the header is {listing(table.header, limit=12)}" if table.header else "the table has no header"
        raise InvalidInput(f"{path}:1: --label-key {label_key}: there is no such column; {found}.")
    if table.header is None:
        return _lists(table, 0, tuple(range(1, max(len(cells) for _, cells in table.rows))), None, separator, one=True)
    if labelstudio_min.is_signed(table.header):
        return labelstudio_min.collect_records(path, _records(table), label_key=label_key)
    lowered = [cell.lower() for cell in table.header]
    image_at = next((lowered.index(name) for name in IMAGE_COLUMNS if name in lowered), 0)
    split_at = next((lowered.index(name) for name in SPLIT_COLUMNS if name in lowered), None)
    if label_key is not None:
        column = table.header.index(label_key)
        return _lists(table, image_at, (column,), split_at, separator, one=lowered[column] in ONE_LABEL)
    named = next((name for name in (*ALL_LABELS, *ONE_LABEL) if name in lowered), None)
    if named is not None and not _is_binary(table, lowered.index(named), share=1, words=(YES | NO) - LETTERS):
        return _lists(table, image_at, (lowered.index(named),), split_at, separator, one=named in ONE_LABEL)
    return _wide(table, image_at, split_at)


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
        rows = [(reader.line_num, tuple(cell.strip() for cell in row)) for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise InvalidInput(f"{path}:{reader.line_num}: not a CSV table ({error}).") from error
    header = rows[0][1]
    if without_suffix(header[0]) != header[0]:  # an image, not the name of a column
        return _Table(path, None, tuple(rows))
    twice = [name for name in header if name and header.count(name) > 1]
    if twice:
        raise InvalidInput(f"{path}:{rows[0][0]}: the column {twice[0]!r} is there twice.")
    for number, cells in rows[1:]:
        if len(cells) != len(header):
            raise InvalidInput(
                f"{path}:{number}: the row has {len(cells)} cells, the header {len(header)}.",
                mend="Put a cell that holds the delimiter between double quotes.",
            )
    if len(rows) == 1:
        raise InvalidInput(f"{path}: the table has a header and no row.")
    return _Table(path, header, tuple(rows[1:]))


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "")


def _names_an_image(line: str, delimiter: str) -> bool:
    """Whether a first line's first cell is a column of images, or an image, once it is cut at ``delimiter``."""
    cell = line.partition(delimiter)[0].strip(' "')
    return delimiter in line and (cell.lower() in IMAGE_COLUMNS or without_suffix(cell) != cell)


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


def _lists(
    table: _Table, image_at: int, labels_at: Sequence[int], split_at: int | None, separator: str | None, *, one: bool
) -> Labels:
    cells = [row[column] for _, row in table.rows for column in labels_at if column < len(row)]
    notes: list[Note] = []
    if separator is None:
        separator = separator_of(cells)
        spaces = separator is None and any(" " in cell for cell in cells if not LIST.fullmatch(cell))
        if spaces and not one:
            separator = " "
        if spaces and (table.header is None or not one):
            read_as = "one label each" if one else "several labels"
            notes.append((f"cells with spaces, read as {read_as}", f"{table.path} (--separator says otherwise)"))
    entries = []
    for number, row in table.rows:
        where = table.where(number)
        words = [row[column] for column in labels_at if column < len(row)]
        names = [name for word in words for name in names_in(word, separator, where)]
        labels = tuple(class_name(name, where) for name in names)
        split = row[split_at] or None if split_at is not None else None
        entries.append(Entry(_image(row[image_at], where), labels, where, split))
    return collect("a table of labels (CSV)", entries, notes=notes)


def _wide(table: _Table, image_at: int, split_at: int | None) -> Labels:
    header = table.header or ()
    others = [column for column in range(len(header)) if column not in (image_at, split_at) and header[column]]
    chosen = [column for column in others if _is_binary(table, column)]
    notes: list[Note] = [("columns that are no class, left out", header[c]) for c in others if c not in chosen]
    if not chosen:
        raise InvalidInput(
            f"{table.path}:1: no column of labels. The header is {listing(header, limit=12)}; expected a column "
            f"{listing(ALL_LABELS[:1] + ONE_LABEL[:1])}, or one column of 0 and 1 per class.",
            mend=LABEL_MEND,
        )
    names = {column: class_name(header[column], f"{table.path}:1") for column in chosen}
    entries: dict[str, Entry] = {}
    for number, row in table.rows:
        where, image = table.where(number), _image(row[image_at], table.where(number))
        wrong = [column for column in chosen if row[column].lower() not in YES | NO]
        if wrong:
            raise InvalidInput(
                f"{where}: column {header[wrong[0]]!r}: found {row[wrong[0]]!r}; allowed are 0 and 1 (or true and "
                "false, yes and no, nothing for 0)."
            )
        if image in entries:
            raise InvalidInput(
                f"{where}: image {image!r} comes twice; the first time is at {entries[image].where}.",
                mend="Give each image one row.",
            )
        labels = tuple(names[column] for column in chosen if row[column].lower() in YES)
        split = row[split_at] or None if split_at is not None else None
        entries[image] = Entry(image, labels, where, split)
    return collect("a table with a column per class (CSV)", entries.values(), tuple(names.values()), notes)


def _is_binary(table: _Table, column: int, *, share: float = 0.5, words: frozenset[str] = YES | NO) -> bool:
    """Whether at least a share of a column's filled cells are yes or no (the others are mistakes, told as such)."""
    filled = [row[column].lower() for _, row in table.rows if row[column]]
    return bool(filled) and sum(cell in words for cell in filled) >= share * len(filled)


def _image(cell: str, where: str) -> str:
    if not cell:
        raise InvalidInput(f"{where}: no image is named in this row.")
    return cell
