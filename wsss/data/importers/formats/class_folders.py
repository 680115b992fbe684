"""A folder per class: ``cat/1.jpg``, ``dog/2.jpg``; or ``train/cat/1.jpg``, ``val/dog/2.jpg``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from wsss.data.importers.formats.folder_shape import WRAPPERS, Shape, shape_of
from wsss.data.importers.rules.imported_labels import Entry, Labels, class_name, collect
from wsss.data.importers.rules.presence import yes_and_no
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.system_folders import SYSTEM_FOLDERS
from wsss.errors import InvalidInput, listing
from wsss.io.text.utf8 import is_utf8

FORMAT = "a folder per class"
INSIDE = "folders inside class folders: their images have the upper one's class (--images UPPER reads the inner ones)"
ALIKE = "class folders that hold the same folders: if these are the classes, name one upper folder: --images UPPER"
DEALT_ANEW = "splits of the folders, not used: train shows no class, so the images of all splits are divided anew"


def read(folder: Path, files: Sequence[str], context: ReadContext | None = None) -> Labels:
    """Take the topmost folder of each image for its class; see `wsss.data.importers.formats.folder_shape` for what else it is.

    Images that lie in no class folder have no labels.

    Args:
        folder: of the images.
        files: paths below it.
        context: rules in force.

    Raises:
        InvalidInput: there are no folders that could be classes, or it can't be told which are.
    """
    context = context or ReadContext()
    shape = shape_of(folder, files, context)
    entries = list(_entries(folder, files, shape, context))
    if all(name.lower() in WRAPPERS for entry in entries for name in entry.labels or ()):
        raise InvalidInput(
            f"--images: {folder}: its folders {listing(sorted(shape.splits))} are splits, and there are no folders of "
            "classes with images in them (such as train/cat/1.jpg).",
            hint="Put the images into one folder per class, or give the labels in a file: --labels FILE",
        )
    _note_empty(folder, files, shape, context)
    _note_alike(folder, entries, shape, context)
    entries = yes_and_no(entries, context, what="folders")
    if _train_shows_nothing(entries, context):
        splits = dict.fromkeys(entry.split for entry in entries if entry.split is not None)
        context.note(DEALT_ANEW, *(f"{split}" for split in splits))
        entries = [replace(entry, split=None) for entry in entries]
    left_out = frozenset(file for file in files if shape.place(file) is None)
    return replace(collect(FORMAT, entries, context=context), left_out=left_out)


def _entries(folder: Path, files: Sequence[str], shape: Shape, context: ReadContext) -> Iterator[Entry]:
    for file in files:
        place = shape.place(file)
        if place is None:
            continue  # noted, as a folder, by `shape_of`
        if place.name is None:
            context.note("images outside the class folders", file)
            continue
        where = f"{folder / file}"
        yield Entry(file, (class_name(place.name, where),), where, place.split)
        if place.below:
            context.note(INSIDE, place.below)


def _note_empty(folder: Path, files: Sequence[str], shape: Shape, context: ReadContext) -> None:
    """Note folders that stand where class folders do and hold no image that can be read."""
    full = {"/".join(file.split("/")[: at + 1]) for file in files for at in range(file.count("/"))}
    for parent in shape.parents:
        base = folder / parent
        for path in sorted(base.iterdir() if base.is_dir() else ()):
            name = path.relative_to(folder).as_posix()
            passed_over = path.name.startswith(".") or path.name.casefold() in SYSTEM_FOLDERS
            if path.is_dir() and not passed_over and name not in full and is_utf8(path.name):  # else noted already
                context.note("folders without an image that can be read, left out", name)


def _note_alike(folder: Path, entries: Sequence[Entry], shape: Shape, context: ReadContext) -> None:
    """Note class folders that all hold folders of the same names, which may be the classes (``fold1/cat``)."""
    inner: dict[str, set[str]] = {}
    for entry in entries:
        place = shape.place(entry.image)
        if place is not None and place.name is not None:
            inner.setdefault(place.name, set()).add(place.below.partition("/")[2])
    found = list(inner.values())
    if len(found) > 1 and len(found[0]) > 1 and "" not in found[0] and all(names == found[0] for names in found):
        context.note(ALIKE, f"{listing(sorted(inner))}: each holds {listing(sorted(found[0]))}")


def _train_shows_nothing(entries: Sequence[Entry], context: ReadContext) -> bool:
    """Whether the split train holds images without any class alone, as in MVTec AD, while others show classes."""
    showing = {entry.split for entry in entries if any(context.word(name) is None for name in entry.labels or ())}
    return bool(showing) and "train" not in showing and any(entry.split == "train" for entry in entries)
