"""CSV tables that are safe to open in a spreadsheet, and that read back unchanged.

A cell that begins with ``=``, ``+``, ``-`` or ``@`` is a formula for Excel, LibreOffice and Google Sheets, and image
and class names are untrusted. Such a cell is prefixed by an apostrophe, which marks it as text; numbers stay numbers.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput, unreadable
from wsss.io.files.contained import open_to_read

# Full-width characters begin a formula in East Asian versions of spreadsheets.
_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)")


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as CSV, with strings escaped by `to_cell`."""
    return "".join(map(csv_line, rows))


def csv_line(row: Sequence[Any]) -> str:
    """Return one row as a line of CSV; see `csv_text`."""
    text = io.StringIO()
    csv.writer(text).writerow(
        [to_cell(cell) if isinstance(cell, str) else cell for cell in row]
    )  # ends with \r\n; with \n alone, csv would not quote \r in cells
    return text.getvalue().removesuffix("\r\n") + "\n"


def to_cell(text: str) -> str:
    """Return a string as a cell that no spreadsheet evaluates; `from_cell` is the inverse."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def from_cell(cell: str) -> str:
    """Return the string of a cell written by `to_cell`; other cells are returned unchanged."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def read_rows(file: Iterable[str], where: object) -> list[dict[str, str]]:
    """Return the rows of a table written by `csv_text`, each as column → text.

    Args:
        file: the lines, with a header.

    Raises:
        InvalidInput: not a CSV table, or a row has more or fewer cells than the header.
    """
    try:
        head, *rows = [list(map(from_cell, row)) for row in csv.reader(file, strict=True) if row] or [[]]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidInput(f"not a CSV table ({error})", subject=where) from error
    for number, row in enumerate(rows, start=1):
        if len(row) != len(head):
            raise InvalidInput(subject=f"{where}: row {number}", allowed=f"{len(head)} cells", found=len(row))
    return [dict(zip(head, row, strict=True)) for row in rows]


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file; see `read_rows`.

    Raises:
        InvalidInput: the file cannot be read, or is not a CSV table.
    """
    try:
        with io.TextIOWrapper(open_to_read(path), encoding="utf-8", newline="") as file:
            return read_rows(file, path)
    except OSError as error:
        raise unreadable(path, error) from error
