"""Sample ids: validation of ids and of lists of ids."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from wsss.errors import InvalidInput
from wsss.io.rasters.image_kinds import IMAGE_SUFFIXES, stem_of
from wsss.io.text.text_files import Line
from wsss.io.utf8 import is_utf8

MAX_ID_BYTES = 200
"""Maximum length of an id in UTF-8: file names have at most 255 bytes, and ids get prefixes and suffixes."""


_PLAIN = re.compile(r"[A-Za-z0-9_-]+(?:[. ][A-Za-z0-9_-]+)*")
"""Ids that are certainly valid, as nearly all are; a quick test, since a dataset may have hundreds of thousands."""


def check_id(name: str, where: object, *, max_bytes: int | None = MAX_ID_BYTES) -> str:
    """Return ``name`` if it is a valid id: ids become parts of file names and must not lead out of a folder.

    Raises:
        InvalidInput: the name is empty, longer than ``max_bytes``, hidden (``.x``) or not UTF-8, or contains a path
            separator, ``..`` or a control character.
    """
    if _PLAIN.fullmatch(name) and (max_bytes is None or len(name) <= max_bytes):
        return name
    too_long = max_bytes is not None and len(name.encode("utf-8", "replace")) > max_bytes
    problems = {
        "is empty": not name,
        "has a path separator": "/" in name or "\\" in name,
        "contains '..'": ".." in name,
        "starts with a dot": name.startswith("."),
        "has a control character": any(ord(character) < 32 or ord(character) == 127 for character in name),
        "is not UTF-8": not is_utf8(name),
        f"is longer than {max_bytes} bytes": too_long,
    }
    problem = next((problem for problem, applies in problems.items() if applies), None)
    if problem:
        allowed = "a file name without folder and suffix"
        raise InvalidInput(f"image id {name!r} {problem}", subject=where, allowed=allowed)
    return name


def cut(text: str, size: int) -> str:
    """Return the longest prefix of ``text`` with at most ``size`` bytes in UTF-8."""
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")


def without_suffix(name: str) -> str:
    """Remove an image suffix from a file name; other dots belong to the id (``"scan.v2"`` is unchanged)."""
    return stem_of(name, IMAGE_SUFFIXES)


def unique_ids(ids: Iterable[tuple[str, Line]], path: Path) -> list[tuple[str, Line]]:
    """Return ids with their lines; the list must not be empty or contain duplicates.

    Raises:
        InvalidInput: the list is empty, or an id is a duplicate; names file and line.
    """
    seen: dict[str, Line] = {}
    for name, line in ids:
        if name in seen:
            raise InvalidInput(
                f"duplicate image id {name!r}, first listed in line {seen[name].number}",
                subject=line,
                hint="Delete one of the two lines.",
            )
        seen[name] = line
    if not seen:
        raise InvalidInput(
            "empty split: the file lists no image", subject=path, hint="List one image id per line, or delete the file."
        )
    return list(seen.items())
