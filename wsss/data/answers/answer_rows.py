"""The table of answers: one row per answer of a person about a class in a tile or an image.

::

    item,image,x,y,size,class,answer,annotator,time,undone
    w0_00012_00040,w0,40,12,18,mortar,yes,annotator-1,2026-11-29T10:00:00.125Z,no

``x``, ``y`` and ``size`` are empty for a whole image. Rows are only appended: a row with ``undone`` = yes withdraws an
earlier one. The last column is never empty, so a row is complete if and only if its last cell is.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from wsss.data.readers.label_rules import names_a_class
from wsss.data.sample_ids import check_id
from wsss.errors import InvalidInput, unreadable
from wsss.io.files.contained import open_to_read
from wsss.io.text.printable import one_line
from wsss.io.text.tables import csv_line, from_cell
from wsss.io.text.text_files import read_text

COLUMNS = ("item", "image", "x", "y", "size", "class", "answer", "annotator", "time", "undone")
HEADER = csv_line(COLUMNS)

YES, NO, SKIP = "yes", "no", "skip"
ANSWERS = (YES, NO, SKIP)

SEPARATORS = "A spreadsheet has saved the table with other separators: save it as CSV with commas."

MAX_NAME = 64
"""Maximum length of an annotator's name."""

LARGEST = 1_000_000
"""Upper bound of coordinates and sizes, far above any image."""


@dataclass(frozen=True, order=True)
class Item:
    """The subject of a question: a tile, or a whole image.

    Args:
        x, y: column and row of the upper left pixel of the tile.
        size: side length of the tile in pixels; 0 for the whole image.
    """

    image: str
    x: int = 0
    y: int = 0
    size: int = 0

    @property
    def id(self) -> str:
        """Id of the tile as in ``tiles.csv``, or of the image."""
        return f"{self.image}_{self.y:05d}_{self.x:05d}" if self.size else self.image


@dataclass(frozen=True)
class Answer:
    """A row of the table.

    Args:
        answer: ``"yes"``, ``"no"``, or ``"skip"`` if the annotator cannot tell.
        time: ISO 8601; equal for the answers about all classes of an item that are given together.
        undone: the row withdraws the annotator's last answer about this item and class.
    """

    item: Item
    name: str
    answer: str
    annotator: str
    time: str
    undone: bool = False


def check_annotator(name: str, where: object = "annotator") -> str:
    """Return the name of a person, a short line of text, in Unicode normalisation form C.

    Raises:
        InvalidInput: the name is empty, too long, or contains control characters.
    """
    name = unicodedata.normalize("NFC", name)
    if not name.strip() or len(name) > MAX_NAME or one_line(name) != name or name != name.strip():
        allowed = f"a name of 1 to {MAX_NAME} characters in one line"
        raise InvalidInput("invalid annotator name", subject=where, found=name, allowed=allowed)
    return name


def check_class(name: str, where: object) -> str:
    """Return the name of a class, after checking that tables of answers and labels can store it.

    Raises:
        InvalidInput: the name is empty, contains control characters, ``;`` or ``|``, begins with ``?``, or has spaces
            at an end.
    """
    if not name or name != name.strip() or one_line(name) != name or set(name) & {";", "|"} or name.startswith("?"):
        allowed = "a name in one line, without ; and |, and not beginning with ?"
        raise InvalidInput("invalid class name", subject=where, found=name, allowed=allowed)
    return name


def check_new_class(name: str, where: object) -> str:
    """Return the name of a class that no dataset declares, after checking that label tables would read it as a class.

    Raises:
        InvalidInput: see `check_class`; or the name usually means no class, unknown, yes or no ("ok", "unknown", "1").
    """
    if not names_a_class(check_class(name, where)):
        raise InvalidInput(
            "reserved word, which label tables do not read as a class",
            subject=where,
            found=name,
            allowed="a name that does not mean no class, unknown, yes or no",
            hint="Choose a more specific name: 'good weld' instead of 'good'.",
        )
    return name


def answer_line(answer: Answer) -> str:
    """Return an answer as a line of the table."""
    item = answer.item
    place: tuple[Any, ...] = (item.x, item.y, item.size) if item.size else ("", "", "")
    undone = YES if answer.undone else NO
    return csv_line((item.id, item.image, *place, answer.name, answer.answer, answer.annotator, answer.time, undone))


def read_answers(path: Path) -> list[Answer]:
    """Return the rows of a table of answers.

    Raises:
        InvalidInput: the file is missing, not a table of answers, or has an invalid or incomplete row; nothing is
            changed.
    """
    content = read_content(path)
    if content and not content.endswith(b"\n"):
        raise InvalidInput(
            "the last line is incomplete",
            subject=path,
            found=content.rpartition(b"\n")[2].decode(errors="replace"),
            hint="`wsss ask` was killed while it saved an answer, or the file was truncated. The next `wsss ask` with "
            "this file repairs it.",
        )
    return parse_answers(read_text(path), path)


def read_complete(path: Path) -> list[Answer]:
    """Return the rows of a table without an incomplete last line.

    Raises:
        InvalidInput: the file is missing or not a table of answers, or has an invalid row.
    """
    content = read_content(path)
    complete = content[: content.rfind(b"\n") + 1]
    return parse_answers(decoded(complete, path), path) if complete else []


def decoded(content: bytes, path: Path) -> str:
    """Return the text of the complete lines of a table.

    Raises:
        InvalidInput: the encoding is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return read_text(path)  # raises an error with a hint


def read_content(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        InvalidInput: it is missing or cannot be read.
    """
    try:
        with open_to_read(path) as file:
            return file.read()
    except OSError as error:
        raise unreadable(path, error) from error


def parse_answers(text: str, where: object) -> list[Answer]:
    """Return the answers in a text that ends with a complete line.

    Args:
        text: content of a table.
        where: subject of errors, usually the file.

    Raises:
        InvalidInput: an invalid header or row; the subject names the line.
    """
    rows = list(_numbered_rows(text, where))
    if not rows or tuple(rows[0][1]) != COLUMNS:
        raise InvalidInput(
            "not a table of answers",
            subject=where,
            allowed=f"the columns {','.join(COLUMNS)}",
            found=",".join(rows[0][1]) if rows else "nothing",
            hint=SEPARATORS if rows and re.split(r"[;\t]", rows[0][1][0]) == list(COLUMNS) else None,
        )
    return [parse_row(cells, f"{where}: line {number}") for number, cells in rows[1:]]


def _numbered_rows(text: str, where: object) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, list(map(from_cell, cells))
    except csv.Error as error:
        raise InvalidInput(f"not a CSV table ({error})", subject=f"{where}: line {reader.line_num}") from error


def parse_row(cells: Sequence[str], where: str) -> Answer:
    """Return the answer in a row.

    Raises:
        InvalidInput: the wrong number of cells, or an invalid cell.
    """
    if len(cells) != len(COLUMNS):
        raise InvalidInput("wrong number of cells", subject=where, allowed=f"{len(COLUMNS)} cells",
                           found=len(cells))  # fmt: skip
    row = dict(zip(COLUMNS, cells, strict=True))
    item = _item(row, where)
    for column, allowed in (("answer", ANSWERS), ("undone", (YES, NO))):
        if row[column] not in allowed:
            raise InvalidInput(subject=f"{where}: {column}", found=row[column], allowed=allowed)
    if not row["class"]:
        raise InvalidInput("no class", subject=where)
    return Answer(item, row["class"], row["answer"], check_annotator(row["annotator"], where),
                  _time(row["time"], where), row["undone"] == YES)  # fmt: skip


def _item(row: dict[str, str], where: str) -> Item:
    image, place = check_id(row["image"], where), [row[name] for name in ("x", "y", "size")]
    if not any(place):
        item = Item(image)
    elif all(cell.isascii() and cell.isdigit() and int(cell) <= LARGEST for cell in place) and int(place[2]) > 0:
        item = Item(image, *map(int, place))
    else:
        allowed = "three whole numbers, or three empty cells for a whole image"
        raise InvalidInput(subject=f"{where}: x, y, size", found=",".join(place), allowed=allowed)
    if row["item"] != item.id:
        raise InvalidInput("contradicts image, x and y", subject=f"{where}: item", found=row["item"], allowed=[item.id])
    return item


def _time(text: str, where: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(subject=f"{where}: time", found=text, allowed="a time in ISO 8601") from error
    return text
