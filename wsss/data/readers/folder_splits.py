"""Splits of a plain folder: lists of ids, a column of the label table, or a hash of each id."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from wsss.data.readers.find_images import require_images
from wsss.data.readers.label_tables import LabelRow, choose_splits
from wsss.data.readers.layout import Log
from wsss.data.sample import Remark
from wsss.data.sample_ids import check_id, unique_ids, without_suffix
from wsss.errors import InvalidInput, counted, listing
from wsss.io.files.visible import visible
from wsss.io.text.text_files import read_lines

LISTS = "splits"
UNLABELLED = "unlabelled"

UNLISTED = "images in no list of splits/"
UNUSED_COLUMN = "columns that are not used"


class SplitConfig(Protocol):
    """The keys of ``data:`` that determine splits."""

    @property
    def labels(self) -> str:
        """Name of the label table."""

    @property
    def splits(self) -> list[str] | None:
        """Splits to read; ``None``: all."""

    @property
    def val_fraction(self) -> float:
        """Fraction of the images in val, if no file defines splits."""


def read_split_lists(root: Path, find: Callable[..., Path]) -> dict[str, list[str]]:
    """Return split → ids of ``splits/*.txt``; empty without such files.

    Args:
        root: the dataset's folder.
        find: see `wsss.data.readers.find_images.require_images`.

    Raises:
        InvalidInput: an empty list, an invalid or duplicate id, or missing images; names file and line.
    """
    return {path.stem: _read_split(path, find) for path in visible((root / LISTS).glob("*.txt"))}


def split_ids(
    lists: Mapping[str, list[str]],
    rows: Mapping[str, LabelRow],
    images: Collection[str],
    unlabelled: Collection[str],
    config: SplitConfig,
    *,
    root: Path,
    log: Log,
) -> dict[str, list[str]]:
    """Return split → ids: from ``lists``, else from the column ``split``, else by a hash of the id.

    Args:
        lists: see `read_split_lists`.
        rows: id → row of the label table.
        images: ids of all images.
        unlabelled: ids of rows without a known label; a hash assigns them to neither train nor val, unless no row has a
            known label.

    Raises:
        InvalidInput: a row without a split in a table that has the column, or an unknown split in ``data.splits``.
    """
    if lists:
        return choose_splits(lists, config.splits, where=root)
    apart = {"without a row": [name for name in images if rows and name not in rows], "without a known label": []}
    if any(row.split is not None for row in rows.values()):
        splits = _column_splits(rows)
    else:
        every = sorted(rows or images)
        labelled = [name for name in every if name not in unlabelled] or every
        if len(labelled) < len(every):
            apart["without a known label"] = [name for name in every if name in unlabelled]
        train, val = hash_split(labelled, config.val_fraction)
        splits = {"train": train, "val": val} if val else {"train": train}
        log(f"{root}: no splits; assigned by a hash of the image id: train {len(train)}, val {len(val)}.")
    for why, names in apart.items():
        if names:
            splits[UNLABELLED] = sorted([*splits.get(UNLABELLED, []), *names])
            log(f"{root}: {counted(len(names), 'image')} {why} in {config.labels}: split {UNLABELLED!r}.")
    return choose_splits(splits, config.splits, where=root)


def unlisted(
    lists: Mapping[str, list[str]],
    rows: Mapping[str, LabelRow],
    images: Collection[str],
    config: SplitConfig,
    *,
    root: Path,
) -> Iterator[Remark]:
    """Yield remarks on what ``splits/*.txt`` leave out: images, their labels, and the column ``split``."""
    if not lists:
        return
    listed = {name for members in lists.values() for name in members}
    left_out = sorted(name for name in images if name not in listed)
    if left_out:
        labelled = sum(name in rows for name in left_out)
        with_row = f" ({labelled} with a row in {config.labels})" if labelled else ""
        count = counted(len(left_out), "image")
        yield UNLISTED, f"{root / LISTS}: {count}{with_row} in no list, not used: {listing(left_out)}"
    if any(row.split is not None for row in rows.values()):
        yield UNUSED_COLUMN, f"{root / config.labels}: the column split is not used; {LISTS}/*.txt define the splits"


def _column_splits(rows: Mapping[str, LabelRow]) -> dict[str, list[str]]:
    splits: dict[str, list[str]] = {}
    for row in rows.values():
        if not row.split:
            raise InvalidInput(
                f"no split for image {row.id!r}", subject=row.where, allowed="a name in the column split"
            )
        splits.setdefault(row.split, []).append(row.id)
    return splits


def _read_split(path: Path, find: Callable[..., Path]) -> list[str]:
    entries = [(check_id(without_suffix(line.text), line), line) for line in read_lines(path)]
    ids = unique_ids(entries, path)
    require_images(ids, find)
    return [name for name, _ in ids]


def hash_split(ids: list[str], val_fraction: float) -> tuple[list[str], list[str]]:
    """Assign ids to train and val by a hash of each id, so that new images do not change the split of others.

    With two or more ids and ``val_fraction`` > 0, both splits have at least one id; a single id is in train.
    """
    position = {name: int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64 for name in ids}
    val = {name for name in ids if position[name] < val_fraction}
    if val_fraction > 0 and len(ids) > 1:
        ranked = sorted(ids, key=lambda name: (position[name], name))
        val = (val or {ranked[0]}) - ({ranked[-1]} if len(val) == len(ids) else set())
    elif len(ids) == 1:
        val = set()
    return [name for name in ids if name not in val], [name for name in ids if name in val]
