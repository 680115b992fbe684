"""A folder per class: ``cat/1.jpg``, ``dog/2.jpg``; or ``train/cat/1.jpg``, ``val/dog/2.jpg``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from wsss.data.importers.formats.folder_shape import WRAPPERS, Shape, shape_of
from wsss.data.importers.rules.collect_labels import collect
from wsss.data.importers.rules.imported_labels import Entry, Labels, class_name
from wsss.data.importers.rules.presence import yes_and_no
from wsss.data.importers.rules.read_context import ReadContext
from wsss.errors import InvalidInput, listing
from wsss.io.files.visible import SYSTEM_FOLDERS
from wsss.io.utf8 import is_utf8

OUTSIDE = "images outside the class folders"
NESTED = "folders inside class folders: their images have the outer folder's class (--images OUTER: the inner ones)"
SAME_FOLDERS = "class folders with the same subfolders (if those are the classes, choose one folder: --images OUTER)"
RESPLIT = "splits of the folders, not used: train shows no class, so all images are pooled and split again"


def read(folder: Path, files: Sequence[str], context: ReadContext | None = None) -> Labels:
    """Read the topmost folder of each image as its class, after `wsss.data.importers.formats.folder_shape`.

    Images outside class folders are unlabelled.

    Args:
        files: paths of the images below the folder.

    Raises:
        InvalidInput: no class folders, or ambiguous ones.
    """
    context = context or ReadContext()
    shape = shape_of(folder, files, context)
    entries = list(_entries(folder, files, shape, context))
    if all(name.lower() in WRAPPERS for entry in entries for name in entry.labels or ()):
        raise InvalidInput(
            "the subfolders are splits without class folders",
            subject=f"--images: {folder}",
            found=sorted(shape.splits),
            allowed="class folders in each split, such as train/cat/1.jpg",
            hint="Put the images into one folder per class, or pass a label file: --labels FILE",
        )
    _note_empty(folder, files, shape, context)
    _note_same_folders(entries, shape, context)
    entries = yes_and_no(entries, context, what="folders")
    if _train_shows_no_class(entries, context):
        context.note(RESPLIT, *dict.fromkeys(filter(None, (entry.split for entry in entries))))
        entries = [replace(entry, split=None) for entry in entries]
    left_out = frozenset(file for file in files if shape.locate(file) is None)
    return replace(collect("a folder per class", entries, context), left_out=left_out)


def _entries(folder: Path, files: Sequence[str], shape: Shape, context: ReadContext) -> Iterator[Entry]:
    for file in files:
        location = shape.locate(file)
        if location is None:
            continue  # its folder is noted by `shape_of`
        if location.name is None:
            context.note(OUTSIDE, file)
            continue
        where = f"{folder / file}"
        yield Entry(file, (class_name(location.name, where),), where, location.split)
        if location.below:
            context.note(NESTED, location.below)


def _note_empty(folder: Path, files: Sequence[str], shape: Shape, context: ReadContext) -> None:
    """Note class folders without a readable image."""
    filled = {"/".join(file.split("/")[: at + 1]) for file in files for at in range(file.count("/"))}
    for parent in shape.parents:
        base = folder / parent
        for path in sorted(base.iterdir() if base.is_dir() else ()):
            name = path.relative_to(folder).as_posix()
            skipped = path.name.startswith(".") or path.name.casefold() in SYSTEM_FOLDERS or not is_utf8(path.name)
            if path.is_dir() and not skipped and name not in filled:
                context.note("folders without a readable image, left out", name)


def _note_same_folders(entries: Sequence[Entry], shape: Shape, context: ReadContext) -> None:
    """Note class folders that all have the same subfolders, which may be the classes (``fold1/cat``)."""
    inner: dict[str, set[str]] = {}
    for entry in entries:
        location = shape.locate(entry.image)
        if location is not None and location.name is not None:
            inner.setdefault(location.name, set()).add(location.below.partition("/")[2])
    subfolders = list(inner.values())
    if len(subfolders) < 2 or any(names != subfolders[0] for names in subfolders):
        return
    if len(subfolders[0]) > 1 and "" not in subfolders[0]:
        context.note(SAME_FOLDERS, f"{listing(sorted(inner))}: each has {listing(sorted(subfolders[0]))}")


def _train_shows_no_class(entries: Sequence[Entry], context: ReadContext) -> bool:
    """Return whether train has only images without any class, as in MVTec AD, while other splits show classes."""
    showing = {entry.split for entry in entries if any(context.word(name) is None for name in entry.labels or ())}
    return bool(showing) and "train" not in showing and any(entry.split == "train" for entry in entries)
