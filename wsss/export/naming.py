"""What masks and images are called in an export: as the user's own files, where the format can hold that."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from wsss.data.sample_ids import check_id, cut, without_suffix
from wsss.errors import InvalidInput
from wsss.export.export_items import Item

LONGEST = 255 - len(".geojson")
"""Bytes that a name without suffix may have, so that every format's file of it can be written."""


def path_below(image: Path, folder: Path | None) -> str | None:
    """Return an image's path below a folder, with ``/``; ``None`` where it lies elsewhere or is no valid text."""
    if folder is None:
        return None
    absolute, above = Path(os.path.abspath(image)), Path(os.path.abspath(folder))  # noqa: PTH100 - links stay
    if not absolute.is_relative_to(above):
        return None
    path = absolute.relative_to(above).as_posix()
    return path if path.encode("utf-8", "ignore").decode() == path else None


def check_name(item: Item) -> None:
    """Make certain that an id leads nowhere and can be shown; a long one is shortened by `with_stems`.

    Raises:
        InvalidInput: it can't be part of a file name.
    """
    check_id(item.id, item.mask, most_bytes=None)


def with_stems(items: Sequence[Item]) -> tuple[Item, ...]:
    """Return items with a unique ``stem`` each: the image's path without suffix, or the id where it isn't known."""
    wanted = [_writable(natural(item)) for item in items]
    ids = [_writable(item.id) for item in items]
    clashing = {one for one, times in Counter(wanted).items() if times > 1}
    free = [ids[place] if one in clashing else one for place, one in enumerate(wanted)]
    stems = unique(free, [natural(item) for item in items])
    return tuple(replace(item, stem=stem) for item, stem in zip(items, stems, strict=True))


def natural(item: Item) -> str:
    """Return what a mask is called after: the path of its image without suffix, else its id."""
    return item.id if item.file is None else without_suffix(item.file)


def renamed(items: Iterable[Item], written: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the user's name → the name in the export, for those that differ.

    Args:
        items: with their stems.
        written: id → name in the export, where that isn't the stem.
    """
    names = {item.id: (written or {}).get(item.id, item.name) for item in items}
    return {item.file or item.id: names[item.id] for item in items if names[item.id] != natural(item)}


def list_names(items: Sequence[Item]) -> dict[str, str]:
    """Return id → name that a list with a name per line can hold, as PASCAL VOC's readers (CVAT's among them) read it.

    They strip each line, pass over those that begin with ``#``, and know no quotes.
    """
    stems = [item.name for item in items]
    return dict(zip([item.id for item in items], unique([_listable(one) for one in stems], stems), strict=True))


def unique(names: Sequence[str], originals: Sequence[str]) -> list[str]:
    """Return names of which none comes twice: those that equal their originals stay, others may get a number."""
    taken = {name for name, original in zip(names, originals, strict=True) if name == original}
    seen: set[str] = set()
    found = []
    for name, original in zip(names, originals, strict=True):
        one = name
        if name in (seen if name == original else taken):
            one = next(other for number in count(2) if (other := f"{name}_{number}") not in taken)
        taken.add(one)
        seen.add(one)
        found.append(one)
    return found


def _listable(name: str) -> str:
    stripped = name.lstrip()
    name = "_" * (len(name) - len(stripped)) + stripped
    stripped = name.rstrip()
    name = stripped + "_" * (len(name) - len(stripped))
    name = "_".join(name.splitlines())
    return f"_{name}" if name.startswith("#") else name


def _writable(name: str) -> str:
    """Return a path whose parts are names that can be written on any system with a suffix of ours behind them."""
    return "/".join(map(_part, name.split("/")))


def _part(part: str) -> str:
    clean = "".join("_" if ord(one) < 32 or one in "\\\x7f" else one for one in part)
    if len(clean.encode()) <= LONGEST:
        return clean
    digest = hashlib.sha256(clean.encode()).hexdigest()[:8]
    return f"{cut(clean, LONGEST - 9)}~{digest}"


def require_good(items: Sequence[Item], failed: Mapping[str, InvalidInput]) -> None:
    """Make certain that there is something to export.

    Raises:
        InvalidInput: every item failed; says why.
    """
    from wsss.errors import together

    if all(item.id in failed for item in items):
        raise together([failed[item.id] for item in items], len(items), "masks can't be exported")
