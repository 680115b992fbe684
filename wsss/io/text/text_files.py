"""Reading UTF-8 text files, with errors that name the file, the line and the way to convert it."""

from __future__ import annotations

import codecs
import shlex
from dataclasses import dataclass
from pathlib import Path

from wsss.errors import InvalidInput
from wsss.io.files.recorded import check_recorded


@dataclass(frozen=True)
class Line:
    """A non-empty line of a text file; ``str(line)`` is ``"file:number"``."""

    path: Path
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.number}"


def read_text(path: Path) -> str:
    """Read a UTF-8 text file (with or without byte-order mark).

    Raises:
        InvalidInput: missing, unreadable, or not UTF-8.
    """
    check_recorded(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InvalidInput(f"{path}: no such file.") from error
    except UnicodeDecodeError as error:
        marked = error.object.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        utf16 = marked or b"\0" in error.object
        line = error.object.count(b"\n", 0, error.start) + 1
        found = "it is UTF-16" if marked else f"line {line}: {error.reason} at byte {error.start}"
        raise InvalidInput(f"{path}: not UTF-8 text ({found}).", hint=_as_utf8(path, utf16=utf16)) from error
    except OSError as error:
        raise InvalidInput(f"{path}: can't be read ({error.strerror}).") from error
    if "\0" in text:  # UTF-16 without a mark at its beginning
        raise InvalidInput(f"{path}: not UTF-8 text (it has NUL characters).", hint=_as_utf8(path, utf16=True))
    return text


def read_lines(path: Path) -> list[Line]:
    """Return the lines of a text file that aren't empty, stripped.

    Raises:
        InvalidInput: see `read_text`.
    """
    lines = enumerate(read_text(path).splitlines(), start=1)
    return [Line(path, number, text.strip()) for number, text in lines if text.strip()]


def _as_utf8(path: Path, *, utf16: bool) -> str:
    """Return the hint for a text in another encoding: on Windows that is Windows-1252 (Excel's plain CSV) or UTF-16."""
    excel = " (in Excel: Save As, 'CSV UTF-8')" if path.suffix.lower() in (".csv", ".tsv", ".txt") else ""
    encoding = "UTF-16" if utf16 else "WINDOWS-1252"
    old, new = shlex.quote(str(path)), shlex.quote(f"{path.stem}-utf8{path.suffix}")
    guess = "" if utf16 else " (if Windows wrote it in Western Europe)"
    return f"Save the file as UTF-8{excel}, or convert it{guess}: iconv -f {encoding} -t UTF-8 {old} > {new}"
