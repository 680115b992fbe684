"""Reading of UTF-8 text files, with errors that name the line and a conversion command."""

from __future__ import annotations

import codecs
import shlex
from dataclasses import dataclass
from pathlib import Path

from wsss.errors import InvalidInput, unreadable
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
    except UnicodeDecodeError as error:
        marked = error.object.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        line = error.object.count(b"\n", 0, error.start) + 1
        reason = "it is UTF-16" if marked else f"line {line}: {error.reason} at byte {error.start}"
        hint = _conversion_hint(path, utf16=marked or b"\0" in error.object)
        raise InvalidInput(f"not UTF-8 text ({reason})", subject=path, hint=hint) from error
    except OSError as error:
        raise unreadable(path, error) from error
    if "\0" in text:  # UTF-16 without byte-order mark
        hint = _conversion_hint(path, utf16=True)
        raise InvalidInput("not UTF-8 text (it contains NUL characters)", subject=path, hint=hint)
    return text


def read_lines(path: Path) -> list[Line]:
    """Return the non-empty lines of a text file, stripped.

    Raises:
        InvalidInput: see `read_text`.
    """
    lines = enumerate(read_text(path).splitlines(), start=1)
    return [Line(path, number, text.strip()) for number, text in lines if text.strip()]


def _conversion_hint(path: Path, *, utf16: bool) -> str:
    """Return how to convert a file: Windows writes Windows-1252 (Excel's plain CSV) or UTF-16."""
    excel = " (in Excel: Save As, 'CSV UTF-8')" if path.suffix.lower() in (".csv", ".tsv", ".txt") else ""
    encoding = "UTF-16" if utf16 else "WINDOWS-1252"
    old, new = shlex.quote(str(path)), shlex.quote(f"{path.stem}-utf8{path.suffix}")
    guess = "" if utf16 else " (if it is Windows-1252, the Western European encoding)"
    return f"Save the file as UTF-8{excel}, or convert it{guess}: iconv -f {encoding} -t UTF-8 {old} > {new}"
