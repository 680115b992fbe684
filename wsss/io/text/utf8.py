"""Names that our own files can hold.

A file name on Linux is any row of bytes. Records, pipelines and lists are JSON, YAML and CSV in UTF-8, which can't hold
one that is not UTF-8 (Python has it as text with half surrogate pairs). So no path of a run may be such a name: it is
refused before any work rather than when the first record is written.
"""

from __future__ import annotations

import os
from pathlib import Path

from wsss.errors import InvalidInput

HINT = "Rename it: records and pipelines are UTF-8 text and can't hold such a name."


def is_utf8(text: str) -> bool:
    """Return whether text can be written as UTF-8: it has no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def require_utf8(path: str | Path, what: str) -> None:
    """Refuse a name that is not valid UTF-8.

    Args:
        path: as given, or a whole argument that may be a path.
        what: before it in the error: an option, ``"the working directory"``.

    Raises:
        InvalidInput: names it.
    """
    text = os.fspath(path)
    if not is_utf8(text):
        raise InvalidInput(f"{what} {text}: not valid UTF-8.".lstrip(), hint=HINT)


def require_working_directory() -> None:
    """Refuse a working directory that no longer exists, or whose path is not valid UTF-8.

    Raises:
        InvalidInput: says which.
    """
    try:
        here = Path.cwd()
    except OSError as error:
        raise InvalidInput(
            f"The working directory can't be found ({error.strerror}).", hint="Change to an existing folder (cd)."
        ) from error
    require_utf8(here, "the working directory")


def unwritable(path: Path, error: UnicodeEncodeError) -> InvalidInput:
    """Return the error for a file that was to hold text that is not valid UTF-8; it quotes what surrounds that."""
    near = error.object[max(0, error.start - 40) : error.end + 20]
    return InvalidInput(f"{path}: can't hold text that is not valid UTF-8: {near!r}.", hint=HINT)
