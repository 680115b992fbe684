"""Words of a command line and the working directory have to be UTF-8, since records and tables are.

Files below a folder that is named may have any names: those that aren't UTF-8 are handled where folders are listed.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from wsss.errors import InvalidInput


def check_utf8(arguments: Iterable[str]) -> None:
    """Refuse what can't be written into a record.

    Args:
        arguments: of the command; bytes that aren't UTF-8 are half surrogate pairs in them.

    Raises:
        InvalidInput: names the argument, or the working directory.
    """
    for argument in arguments:
        if not _is_utf8(argument):
            raise InvalidInput(f"argument {_shown(argument)}: not valid UTF-8.", mend="Rename the file or folder.")
    folder = _working_directory()
    if not _is_utf8(folder):
        raise InvalidInput(
            f"working directory {_shown(folder)}: its name is not valid UTF-8.",
            mend="Rename the folder, or work in another one.",
        )


def _working_directory() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # it was deleted: whoever needs it explains that
        return ""


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _shown(text: str) -> str:
    """Return text with the bytes that aren't UTF-8 as escapes: ``r\\xff``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
