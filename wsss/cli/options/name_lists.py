"""Options that take a list of names: ``A,B``, or for ids ``@FILE`` with one id per line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from wsss.errors import InvalidInput


def ids_in(text: str | None) -> tuple[str, ...]:
    """Return the ids of ``--ids``: comma-separated, or the lines of ``@FILE``; none if the option is not set."""
    if text is None or not text.startswith("@"):
        return names_in(text, "--ids", "id")
    from wsss.io.text.text_files import read_lines

    return _required((line.text for line in read_lines(Path(text[1:]))), f"--ids {text}", "id")


def names_in(text: str | None, option: str, what: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list; none if the option is not set."""
    if text is None:
        return ()
    return _required((part.strip() for part in text.split(",") if part.strip()), f"{option} {text}", what)


def _required(names: Iterable[str], subject: str, what: str) -> tuple[str, ...]:
    found = tuple(names)
    if not found:
        raise InvalidInput(subject=subject, allowed=f"at least one {what}", hint="Omit the option to select all masks.")
    return found
