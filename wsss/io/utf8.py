"""Validation of paths as UTF-8.

A file name on Linux is any sequence of bytes; Python represents bytes that are not UTF-8 as half surrogate pairs.
Records, pipelines and lists are UTF-8 text and cannot hold such names, so they are refused before any work begins.
"""

from __future__ import annotations

import os
from pathlib import Path

from wsss.errors import InvalidInput

HINT = "Rename it: records and pipelines are UTF-8 text and cannot hold such a name."


def is_utf8(text: str) -> bool:
    """Return whether text can be encoded as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def require_utf8(path: str | Path, what: str) -> None:
    """Require a name to be valid UTF-8.

    Args:
        path: a path, or an argument that may be a path.
        what: prefix of the error's subject: an option, ``"the working directory"``.

    Raises:
        InvalidInput: it is not valid UTF-8.
    """
    text = os.fspath(path)
    if not is_utf8(text):
        raise InvalidInput("not valid UTF-8", subject=f"{what} {text}".lstrip(), hint=HINT)


def require_working_directory() -> None:
    """Require a working directory that exists and whose path is valid UTF-8.

    Raises:
        InvalidInput: the folder was deleted, or its path is not valid UTF-8.
    """
    try:
        here = Path.cwd()
    except OSError as error:
        raise InvalidInput(
            f"The working directory does not exist ({error.strerror})", hint="Change to an existing folder (cd)."
        ) from error
    require_utf8(here, "the working directory")


def unwritable(path: Path, error: UnicodeEncodeError) -> InvalidInput:
    """Return the error for a file that cannot hold a text, with an excerpt."""
    excerpt = error.object[max(0, error.start - 40) : error.end + 20]
    return InvalidInput("cannot hold text that is not valid UTF-8", subject=path, found=excerpt, hint=HINT)
