"""A folder per class: ``cat/1.jpg``, ``dog/2.jpg``; or ``train/cat/1.jpg``, ``val/dog/2.jpg``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wsss.data.importing.labels import SPLITS, Entry, Labels, class_name, collect
from wsss.data.importing.reading import Reading
from wsss.errors import InvalidInput, listing


def read(folder: Path, files: Sequence[str], reading: Reading | None = None) -> Labels:
    """Take the topmost folder of each image for its class.

    Images that lie in no folder have no labels; where all topmost folders are called train, val, test and the like,
    they are splits (`wsss.data.importing.labels.SPLITS`), and the folders in them classes.

    Args:
        folder: of the images.
        files: paths below it.
        reading: rules in force.

    Raises:
        InvalidInput: there are no folders, or only folders that are splits.
    """
    parts = {file: file.split("/") for file in files}
    tops = {path[0] for path in parts.values() if len(path) > 1}
    if not tops:
        raise InvalidInput(
            f"--images: {folder} has no folders that could be classes.",
            mend="Give the labels in a file: --labels FILE; or put the images into one folder per class.",
        )
    splits = all(top.lower() in SPLITS for top in tops)
    depth = 1 if splits else 0
    entries: list[Entry] = []
    reading = reading or Reading()
    for file, path in parts.items():
        if len(path) < depth + 2:
            reading.note("images outside the class folders", file)
            continue
        where = f"{folder / file}"
        split = path[0] if splits else None
        entries.append(Entry(file, (class_name(path[depth], where),), where, split))
    if not entries:
        raise InvalidInput(
            f"--images: {folder}: its folders {listing(sorted(tops))} are splits, and there are no folders of classes "
            "with images in them (such as train/cat/1.jpg).",
            mend="Put the images into one folder per class, or give the labels in a file: --labels FILE",
        )
    return collect("a folder per class", entries, reading=reading)
