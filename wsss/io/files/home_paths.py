"""``~`` in paths that no shell has expanded: in files and Python programs, and in ``--option=~/folder``."""

from __future__ import annotations

import os
from pathlib import Path


def expand_home(path: str | os.PathLike[str]) -> Path:
    """Return a path with a leading ``~`` or ``~user`` expanded; unchanged if there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def expand_argument(word: str) -> str:
    """Return a word of the command line with ``~/…`` or ``--option=~/…`` expanded; ``~`` alone is YAML's null."""
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return f"{option}{equals}{expand_home(value)}" if value.startswith("~/") else word
