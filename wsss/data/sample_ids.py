"""Ids of samples: valid names, and lists in which each id comes once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from wsss.errors import InvalidInput
from wsss.io.rasters.image_kinds import IMAGE_SUFFIXES
from wsss.io.text.text_files import Line
from wsss.io.text.utf8 import is_utf8

MOST_BYTES = 200
"""Longest id in UTF-8: file names end at 255 bytes, and an id gets suffixes and prefixes."""


def check_id(name: str, where: object, *, most_bytes: int | None = MOST_BYTES) -> str:
    """Return ``name`` if it can be an id: it becomes part of file names, so it can't lead out of a folder.

    Raises:
        InvalidInput: empty, longer than ``most_bytes``, with a path separator, ``..`` or a control character, hidden
            (``.x``), or no valid text.
    """
    problem = ""
    if not name:
        problem = "is empty"
    elif "/" in name or "\\" in name:
        problem = "has a path separator"
    elif ".." in name:
        problem = "has '..' in it"
    elif name.startswith("."):
        problem = "starts with a dot"
    elif any(ord(character) < 32 or ord(character) == 127 for character in name):
        problem = "has a control character"
    elif not is_utf8(name):
        problem = "is no valid text"
    elif most_bytes is not None and len(name.encode()) > most_bytes:
        problem = f"is longer than {most_bytes} bytes"
    if problem:
        raise InvalidInput(f"{where}: image id {name!r} {problem}; an id is a file name without folder and suffix.")
    return name


def cut(text: str, size: int) -> str:
    """Return the beginning of ``text`` that takes at most ``size`` bytes in UTF-8."""
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")


def without_suffix(name: str) -> str:
    """Return a file name without an image suffix; other dots belong to the id (``"scan.v2"`` stays)."""
    stem, dot, suffix = name.rpartition(".")
    return stem if stem and (dot + suffix).lower() in IMAGE_SUFFIXES else name


def unique_ids(ids: Iterable[tuple[str, Line]], path: Path) -> list[tuple[str, Line]]:
    """Return ids with their lines, once it is certain that there is at least one and that none comes twice.

    Raises:
        InvalidInput: the list is empty, or an id comes twice; names file and line.
    """
    seen: dict[str, Line] = {}
    for name, line in ids:
        if name in seen:
            raise InvalidInput(
                f"{line}: image id {name!r} is listed twice; the first time is in line {seen[name].number}.",
                hint="Delete one of the two lines.",
            )
        seen[name] = line
    if not seen:
        raise InvalidInput(
            f"{path}: the split is empty: the file lists no image.",
            hint="List one image id per line, or delete the file.",
        )
    return list(seen.items())
