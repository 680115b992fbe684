"""CSV tables that a spreadsheet can't take for programs, and that are read back as they were.

A cell that begins with ``=``, ``+``, ``-`` or ``@`` is a formula for Excel, LibreOffice and Google Sheets, and image
and class names are other people's text. Such a cell gets an apostrophe in front, which spreadsheets take for "this is
text"; numbers stay numbers.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput
from wsss.io.files.contained import open_to_read

# The wide forms begin a formula in the East Asian versions.
_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)")


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as CSV, one line each; texts are written as `to_cell` says, numbers as they are."""
    return "".join(_line([to_cell(cell) if isinstance(cell, str) else cell for cell in row]) for row in rows)


def _line(row: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(row)  # ends with \r\n: Python quotes those of the cells, which it wouldn't for \n alone
    return text.getvalue().removesuffix("\r\n") + "\n"


def to_cell(text: str) -> str:
    """Return a text as a cell that no spreadsheet runs; `from_cell` gives the text again."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def from_cell(cell: str) -> str:
    """Return the text of a cell that `to_cell` made; any other cell as it is."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def read_rows(file: Iterable[str], where: object) -> list[dict[str, str]]:
    """Return the rows below the heading of a table that `csv_text` wrote, each as column → text.

    Args:
        file: its lines.
        where: what to call it in an error.

    Raises:
        InvalidInput: not a CSV table, or a row has more or fewer cells than the heading.
    """
    try:
        head, *rows = [list(map(from_cell, row)) for row in csv.reader(file, strict=True) if row] or [[]]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidInput(f"{where}: not a CSV table ({error}).") from error
    for number, row in enumerate(rows, start=1):
        if len(row) != len(head):
            raise InvalidInput(f"{where}: row {number} has {len(row)} cells, the heading {len(head)}.")
    return [dict(zip(head, row, strict=True)) for row in rows]


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a file that `csv_text` filled; see `read_rows`.

    Raises:
        InvalidInput: it can't be read, or isn't such a table.
    """
    try:
        with io.TextIOWrapper(open_to_read(path), encoding="utf-8", newline="") as file:
            return read_rows(file, path)
    except OSError as error:
        raise InvalidInput(f"{path}: can't be read ({error.strerror}).") from error
