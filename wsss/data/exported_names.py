"""Names of images as an export writes them, if a file system or a format does not allow them."""

from __future__ import annotations

import hashlib

from wsss.data.sample_ids import cut

LONGEST = 255 - len(".geojson")
"""Maximum length of a name without suffix in bytes, for all formats."""


def listable_name(name: str) -> str:
    """Return a name for a list with one name per line; readers strip lines and skip those that start with ``#``."""
    stripped = name.lstrip()
    name = "_" * (len(name) - len(stripped)) + stripped
    stripped = name.rstrip()
    name = stripped + "_" * (len(name) - len(stripped))
    name = "_".join(name.splitlines())
    return f"_{name}" if name.startswith("#") else name


def writable_name(name: str) -> str:
    """Return a path whose parts are valid file names on every system, whatever suffix an export appends."""
    return "/".join(map(_part, name.split("/")))


def _part(part: str) -> str:
    clean = "".join("_" if ord(char) < 32 or char in "\\\x7f" else char for char in part)
    if len(clean.encode()) <= LONGEST:
        return clean
    digest = hashlib.sha256(clean.encode()).hexdigest()[:8]
    return f"{cut(clean, LONGEST - 9)}~{digest}"
