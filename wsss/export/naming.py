"""Names of masks and images in an export: those of the images, as far as the format allows."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from wsss.data.exported_names import listable_name, writable_name
from wsss.data.sample_ids import check_id, without_suffix
from wsss.errors import InvalidInput, together
from wsss.export.export_items import Item


def path_below(image: Path, folder: Path | None) -> str | None:
    """Return the path of an image below a folder, with ``/``; ``None`` if it is elsewhere or not valid text."""
    if folder is None:
        return None
    absolute, above = Path(os.path.abspath(image)), Path(os.path.abspath(folder))  # noqa: PTH100 - keeps links
    if not absolute.is_relative_to(above):
        return None
    path = absolute.relative_to(above).as_posix()
    return path if path.encode("utf-8", "ignore").decode() == path else None


def check_name(item: Item) -> None:
    """Require that an id is a valid file name; long ids are shortened by `with_stems`.

    Raises:
        InvalidInput: the id is invalid.
    """
    check_id(item.id, item.mask, max_bytes=None)


def with_stems(items: Sequence[Item]) -> tuple[Item, ...]:
    """Return items with unique stems: the path of the image without suffix, or the id if it is unknown."""
    names = [writable_name(natural(item)) for item in items]
    duplicates = {name for name, times in Counter(names).items() if times > 1}
    names = [writable_name(item.id) if name in duplicates else name for item, name in zip(items, names, strict=True)]
    stems = unique(names, [natural(item) for item in items])
    return tuple(replace(item, stem=stem) for item, stem in zip(items, stems, strict=True))


def natural(item: Item) -> str:
    """Return the preferred name of a mask: the path of its image without suffix, or its id."""
    return item.id if item.file is None else without_suffix(item.file)


def renamed(items: Iterable[Item], written: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return name of the user → name in the export, for names that differ.

    Args:
        items: items with stems.
        written: id → name in the export, if different from the stem.
    """
    names = {item.id: (written or {}).get(item.id, item.name) for item in items}
    return {item.file or item.id: names[item.id] for item in items if names[item.id] != natural(item)}


def list_names(items: Sequence[Item]) -> dict[str, str]:
    """Return id → name for lists with one name per line.

    Readers of PASCAL VOC lists (also CVAT's) strip lines, skip those starting with ``#``, and do not support quotes.
    """
    stems = [item.name for item in items]
    return dict(zip([item.id for item in items], unique([listable_name(stem) for stem in stems], stems), strict=True))


def unique(names: Sequence[str], originals: Sequence[str]) -> list[str]:
    """Make names unique: names equal to their originals do not change, others may get a number."""
    taken = {name for name, original in zip(names, originals, strict=True) if name == original}
    seen: set[str] = set()
    result = []
    for name, original in zip(names, originals, strict=True):
        free = name
        if name in (seen if name == original else taken):
            free = next(other for number in count(2) if (other := f"{name}_{number}") not in taken)
        taken.add(free)
        seen.add(free)
        result.append(free)
    return result


def require_good(items: Sequence[Item], failed: Mapping[str, InvalidInput]) -> None:
    """Require that at least one item did not fail.

    Raises:
        InvalidInput: all items failed; lists the reasons.
    """
    if all(item.id in failed for item in items):
        raise together([failed[item.id] for item in items], len(items), "masks cannot be exported")
