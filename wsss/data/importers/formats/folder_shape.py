"""What the folders of images are: classes, splits, a folder around them, true masks, or images without labels."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path

from wsss.data.importers.formats.mask_folders import MASKS, TRUTH, Folders, mask_folders
from wsss.data.importers.formats.other_formats import is_yolo
from wsss.data.importers.rules.imported_labels import SPLITS
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.readers.label_rules import Word, plain
from wsss.errors import InvalidInput, listing

WRAPPERS = frozenset({"images", "image", "imgs", "img", "data", "dataset", "photos", "pictures"})
"""Names of folders that hold class folders, and are no class themselves."""

_SPLIT = re.compile(rf"({'|'.join(sorted(SPLITS, key=len, reverse=True))})(?:set|data|images|imgs|split|[0-9]+)*")
"""Names of folders that are splits, compared by `plain`: train, Training_set, val2017."""

IN_A_FILE = "give the labels in a file: --labels FILE"


@dataclass(frozen=True)
class Place:
    """Where an image lies.

    Args:
        name: of its class folder, or ``None`` outside of any.
        split: in our words (`wsss.data.importers.rules.imported_labels.SPLITS`), or ``None``.
        below: class folder and the folder inside it that holds the image, or ``""``.
    """

    name: str | None
    split: str | None = None
    below: str = ""


@dataclass(frozen=True)
class Shape:
    """How to read the path of an image.

    Args:
        wrapper: folders in front of everything (``("images",)``).
        splits: names of the folders that are splits; empty: there are none.
        inner: split → the folders between it and its class folders.
        split_last: splits lie in class folders (``cat/train/1.jpg``), not around them.
        unlabelled: folders beside the splits that hold images without labels.
        left_out: paths of folders that hold no images of the dataset.
    """

    wrapper: Folders = ()
    splits: frozenset[str] = frozenset()
    inner: Mapping[str, Folders] = field(default_factory=dict)
    split_last: bool = False
    unlabelled: frozenset[str] = frozenset()
    left_out: frozenset[str] = frozenset()

    def place(self, file: str) -> Place | None:
        """Return where an image lies; ``None`` in a folder that is left out."""
        folders = tuple(file.split("/")[:-1])
        if any("/".join(folders[:depth]) in self.left_out for depth in range(1, len(folders) + 1)):
            return None
        inside = _below(folders, self.wrapper)
        if not inside:
            return Place(None)
        top, *rest = inside
        if top in self.unlabelled:
            return Place(top)
        if self.split_last:
            return Place(top, split_of(rest[0]) if rest else None)
        if not self.splits:
            return _class(inside, None)
        return _class(_below(tuple(rest), self.inner.get(top, ())), split_of(top))

    @property
    def parents(self) -> tuple[str, ...]:
        """The folders that class folders lie in, as paths."""
        if not self.splits or self.split_last:
            return ("/".join(self.wrapper),)
        return tuple("/".join((*self.wrapper, one, *self.inner.get(one, ()))) for one in sorted(self.splits))


def split_of(name: str) -> str | None:
    """Return the split that a folder of this name holds, in our words."""
    found = _SPLIT.fullmatch(plain(name))
    return SPLITS[found[1]] if found else None


def shape_of(folder: Path, files: Sequence[str], context: ReadContext) -> Shape:
    """Find out what the folders are; what is more than "a folder per class" is noted.

    Args:
        folder: of the images.
        files: paths below it.
        context: rules in force; takes the notes.

    Raises:
        InvalidInput: there are no folders, or it can't be told which are classes.
    """
    paths = [tuple(file.split("/")[:-1]) for file in files]
    _refuse_datasets(folder, {path[0] for path in paths if path})
    beside = mask_folders(files, context)
    paths = [path for path in paths if not any(path[:depth] in beside for depth in range(1, len(path) + 1))]
    wrapper, masks, inside = _unwrap([path for path in paths if path])
    masks |= beside
    if all(len(path) == 1 and path[0].lower() in WRAPPERS for path in inside):
        raise InvalidInput(
            f"--images: {folder} has no folders that could be classes.",
            hint=f"Put the images into one folder per class, or {IN_A_FILE}",
        )
    shape = _splits(folder, inside, context)
    inner: dict[str, Folders] = {}
    for split in () if shape.split_last else shape.splits:
        inner[split], inner_masks = _inner([path[1:] for path in inside if path[0] == split and len(path) > 1], split)
        masks |= {(*wrapper, split, *path) for path in inner_masks}
    around = [wrapper, *((*wrapper, split, *inner[split]) for split in sorted(inner) if inner[split])]
    context.note("folders around the class folders, no classes themselves", *map("/".join, filter(None, around)))
    left_out = frozenset(map("/".join, masks))
    context.note("folders of true masks, not used (rename one that is a class)", *sorted(left_out))
    _note_names(shape.splits, context)
    return replace(shape, wrapper=wrapper, inner=inner, left_out=left_out)


def _inner(paths: Sequence[Folders], split: str) -> tuple[Folders, set[Folders]]:
    """Return the folders between a split and its class folders, and the folders of masks in it."""
    doubled = bool(paths) and all(path[0] == split and len(path) > 1 for path in paths)
    front = (split,) if doubled else ()  # unpacking a ZIP gives train/train/cat/1.jpg
    wrapper, masks, _ = _unwrap([path[len(front) :] for path in paths])
    return (*front, *wrapper), {(*front, *path) for path in masks}


def _note_names(splits: Collection[str], context: ReadContext) -> None:
    others = (name for name in sorted(splits) if split_of(name) != name)
    context.note("splits of another name", *(f"{name}, taken as {split_of(name)}" for name in others))


def _unwrap(paths: Sequence[Folders]) -> tuple[Folders, set[Folders], list[Folders]]:
    """Return the folders around all class folders, the folders of masks, and what is left of the other paths."""
    wrapper: Folders = ()
    masks: set[Folders] = set()
    inside = list(paths)
    while True:
        tops = {path[0] for path in inside}
        found = _mask_folders(tops)
        masks |= {(*wrapper, name) for name in found}
        inside = [path for path in inside if path[0] not in found]
        if not _is_wrapper(tops - found, inside):
            return wrapper, masks, inside
        wrapper = (*wrapper, inside[0][0])
        inside = [path[1:] for path in inside]


def _mask_folders(tops: Collection[str]) -> set[str]:
    """Return the folders of true masks: by a name that nothing else has, or by their place beside splits or images."""
    beside = any(split_of(top) or top.lower() in WRAPPERS for top in tops)
    found = {top for top in tops if plain(top) in (MASKS if beside else TRUTH)}
    return found if len(found) < len(tops) else set()


def _is_wrapper(tops: Collection[str], paths: Sequence[Folders]) -> bool:
    """Whether a single folder holds all images, in folders of its own."""
    if len(tops) != 1 or any(len(path) < 2 for path in paths):
        return False
    name = next(iter(tops)).lower()
    return split_of(name) is None and (name in WRAPPERS or len({path[1] for path in paths}) > 1)


def _splits(folder: Path, paths: Sequence[Folders], context: ReadContext) -> Shape:
    """Return which folders are splits, and which hold images without labels.

    Raises:
        InvalidInput: some folders are splits and others classes, or each folder is a dataset of its own.
    """
    tops = {path[0] for path in paths}
    named = {top for top in tops if split_of(top)}
    others = {top for top in tops - named if context.word(top) is not Word.UNKNOWN}
    if named and not others:
        return Shape(splits=frozenset(named), unlabelled=frozenset(tops - named))
    deep = sorted(named - {path[0] for path in paths if len(path) == 1})
    if deep:
        beside = sorted(others)
        raise InvalidInput(
            f"--images: {folder}: {listing(deep)} holds class folders, as a split does, and {listing(beside)} lies "
            "beside it: a class, or a split?",
            hint=f"Move class folders into a split ({deep[0]}/{beside[0]}), or {IN_A_FILE}",
        )
    context.note("folders called like splits, read as classes since class folders lie beside them", *sorted(named))
    return Shape() if named else _inner_splits(folder, paths, context)


def _inner_splits(folder: Path, paths: Sequence[Folders], context: ReadContext) -> Shape:
    """Recognise splits inside class folders (``cat/train/1.jpg``).

    Raises:
        InvalidInput: they hold class folders themselves, so each folder is a dataset.
    """
    inside = {path[1] for path in paths if len(path) > 1 and plain(path[1]) not in TRUTH}
    if any(len(path) < 2 for path in paths) or not all(map(split_of, inside)):
        return Shape()
    if any(len(path) > 2 for path in paths):
        tops = sorted({path[0] for path in paths})
        raise InvalidInput(
            f"--images: {folder}: its folders ({listing(tops)}) hold splits with class folders in them; each is a "
            "dataset of its own.",
            hint=f"Name one of them: --images {folder / tops[0]}",
        )
    context.note("splits inside the class folders", *sorted(inside))
    return Shape(splits=frozenset(inside), split_last=True)


def _refuse_datasets(folder: Path, tops: Collection[str]) -> None:
    """Refuse layouts whose labels lie in files of their own.

    Raises:
        InvalidInput: PASCAL VOC's, or YOLO's.
    """
    if "JPEGImages" in tops and (folder / "Annotations").is_dir():
        raise InvalidInput(
            f"--images: {folder} is a dataset in PASCAL VOC layout; its folders are no classes.",
            hint=f"Look through it with wsss data check {folder}, and name it in a pipeline: data: {{root: {folder}}}",
        )
    texts = chain((folder / "labels").rglob("*.txt"), folder.glob("*/labels/*.txt"))
    if all(split_of(top) or top.lower() in WRAPPERS for top in tops) and any(map(is_yolo, islice(texts, 20))):
        raise InvalidInput(
            f"--images: {folder} holds the images and labels of YOLO; its text files of boxes are not read.",
            hint=f"Convert them to COCO: --images {folder / 'images'} --labels annotations.json",
        )


def _class(folders: Folders, split: str | None) -> Place:
    if not folders:
        return Place(None, split)
    return Place(folders[0], split, "/".join(folders[:2]) if len(folders) > 1 else "")


def _below(folders: Folders, front: Folders) -> Folders:
    """Return what follows ``front``; nothing where the folders are others."""
    return folders[len(front) :] if folders[: len(front)] == front else ()
