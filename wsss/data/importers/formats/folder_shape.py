"""The roles of the folders of images: classes, splits, wrappers, ground-truth masks, or unlabelled images."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path

from wsss.data.importers.formats.mask_folders import MASKS, TRUTH, Folders, mask_folders
from wsss.data.importers.formats.other_formats import is_yolo
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.importers.rules.split_names import SPLITS
from wsss.data.readers.label_rules import Word, plain
from wsss.errors import InvalidInput, listing

WRAPPERS = frozenset({"images", "image", "imgs", "img", "data", "dataset", "photos", "pictures"})
"""Names of folders that contain class folders and are not classes."""

MASK_FOLDERS = "folders of ground-truth masks, not used (rename a folder that is a class)"

_SPLIT = re.compile(rf"({'|'.join(sorted(SPLITS, key=len, reverse=True))})(?:set|data|images|imgs|split|[0-9]+)*")
"""Names of folders that are splits, compared by `plain`: train, Training_set, val2017."""

_IN_A_FILE = "pass a label file: --labels FILE"


@dataclass(frozen=True)
class Location:
    """The location of an image.

    Args:
        name: name of its class folder; ``None`` if it is in none.
        split: a value of `wsss.data.importers.rules.split_names.SPLITS`, or ``None``.
        below: class folder and the folder inside it that contains the image, or ``""``.
    """

    name: str | None
    split: str | None = None
    below: str = ""


@dataclass(frozen=True)
class Shape:
    """The roles of folders in the path of an image.

    Args:
        wrapper: folders around all others (``("images",)``).
        splits: names of the folders that are splits.
        inner: split → the folders between it and its class folders.
        split_last: splits lie in class folders (``cat/train/1.jpg``), not around them.
        unlabelled: folders of unlabelled images next to the splits.
        left_out: paths of folders without images of the dataset.
    """

    wrapper: Folders = ()
    splits: frozenset[str] = frozenset()
    inner: Mapping[str, Folders] = field(default_factory=dict)
    split_last: bool = False
    unlabelled: frozenset[str] = frozenset()
    left_out: frozenset[str] = frozenset()

    def locate(self, file: str) -> Location | None:
        """Return the location of an image; ``None`` in a folder that is left out."""
        folders = tuple(file.split("/")[:-1])
        if any("/".join(folders[:depth]) in self.left_out for depth in range(1, len(folders) + 1)):
            return None
        inside = _below(folders, self.wrapper)
        if not inside:
            return Location(None)
        top, *rest = inside
        if top in self.unlabelled:
            return Location(top)
        if self.split_last:
            return Location(top, split_of(rest[0]) if rest else None)
        if not self.splits:
            return _class_location(inside, None)
        return _class_location(_below(tuple(rest), self.inner.get(top, ())), split_of(top))

    @property
    def parents(self) -> tuple[str, ...]:
        """Paths of the folders that contain class folders."""
        if not self.splits or self.split_last:
            return ("/".join(self.wrapper),)
        return tuple("/".join((*self.wrapper, split, *self.inner.get(split, ()))) for split in sorted(self.splits))


def split_of(name: str) -> str | None:
    """Return the split of a folder name, or ``None`` if it is not a split."""
    match = _SPLIT.fullmatch(plain(name))
    return SPLITS[match[1]] if match else None


def shape_of(folder: Path, files: Sequence[str], context: ReadContext) -> Shape:
    """Infer the roles of folders, with a note on every layout except a plain folder per class.

    Args:
        files: paths of the images below the folder.
        context: rules; receives the notes.

    Raises:
        InvalidInput: no folders, ambiguous ones, or those of a dataset with label files of its own.
    """
    paths = [tuple(file.split("/")[:-1]) for file in files]
    _refuse_datasets(folder, {path[0] for path in paths if path})
    beside = mask_folders(files, context)
    paths = [path for path in paths if not any(path[:depth] in beside for depth in range(1, len(path) + 1))]
    wrapper, masks, inside = _unwrap([path for path in paths if path])
    masks |= beside
    if all(len(path) == 1 and path[0].lower() in WRAPPERS for path in inside):
        raise InvalidInput(
            "no class folders",
            subject=f"--images: {folder}",
            hint=f"Put the images into one folder per class, or {_IN_A_FILE}",
        )
    shape = _splits(folder, inside, context)
    inner: dict[str, Folders] = {}
    for split in () if shape.split_last else shape.splits:
        inner[split], inner_masks = _inner([path[1:] for path in inside if path[0] == split and len(path) > 1], split)
        masks |= {(*wrapper, split, *path) for path in inner_masks}
    around = [wrapper, *((*wrapper, split, *inner[split]) for split in sorted(inner) if inner[split])]
    context.note("folders around the class folders, not classes themselves", *map("/".join, filter(None, around)))
    left_out = frozenset(map("/".join, masks))
    context.note(MASK_FOLDERS, *sorted(left_out))
    renamed = (name for name in sorted(shape.splits) if split_of(name) != name)
    context.note("splits with other names", *(f"{name} → {split_of(name)}" for name in renamed))
    return replace(shape, wrapper=wrapper, inner=inner, left_out=left_out)


def _inner(paths: Sequence[Folders], split: str) -> tuple[Folders, set[Folders]]:
    """Return the folders between a split and its class folders, and the mask folders in it."""
    doubled = bool(paths) and all(path[0] == split and len(path) > 1 for path in paths)
    front = (split,) if doubled else ()  # an unpacked archive often has train/train/cat/1.jpg
    wrapper, masks, _ = _unwrap([path[len(front) :] for path in paths])
    return (*front, *wrapper), {(*front, *path) for path in masks}


def _unwrap(paths: Sequence[Folders]) -> tuple[Folders, set[Folders], list[Folders]]:
    """Return the folders around all class folders, the mask folders, and the remainder of the other paths."""
    wrapper: Folders = ()
    masks: set[Folders] = set()
    inside = list(paths)
    while True:
        tops = {path[0] for path in inside}
        of_masks = _masks_among(tops)
        masks |= {(*wrapper, name) for name in of_masks}
        inside = [path for path in inside if path[0] not in of_masks]
        if not _is_wrapper(tops - of_masks, inside):
            return wrapper, masks, inside
        wrapper = (*wrapper, inside[0][0])
        inside = [path[1:] for path in inside]


def _masks_among(tops: Collection[str]) -> set[str]:
    """Return the mask folders: by an unambiguous name, or by their position next to splits or wrapper folders."""
    beside = any(split_of(top) or top.lower() in WRAPPERS for top in tops)
    masks = {top for top in tops if plain(top) in (MASKS if beside else TRUTH)}
    return masks if len(masks) < len(tops) else set()


def _is_wrapper(tops: Collection[str], paths: Sequence[Folders]) -> bool:
    """Return whether a single folder contains all images, in subfolders."""
    if len(tops) != 1 or any(len(path) < 2 for path in paths):
        return False
    name = next(iter(tops)).lower()
    return split_of(name) is None and (name in WRAPPERS or len({path[1] for path in paths}) > 1)


def _splits(folder: Path, paths: Sequence[Folders], context: ReadContext) -> Shape:
    """Return the folders of splits and of unlabelled images; splits next to class folders are an error."""
    tops = {path[0] for path in paths}
    named = {top for top in tops if split_of(top)}
    others = {top for top in tops - named if context.word(top) is not Word.UNKNOWN}
    if named and not others:
        return Shape(splits=frozenset(named), unlabelled=frozenset(tops - named))
    deep = sorted(named - {path[0] for path in paths if len(path) == 1})
    if deep:
        beside = sorted(others)
        raise InvalidInput(
            f"cannot distinguish splits from classes: class folders exist in {listing(deep)}, but not in "
            f"{listing(beside)}",
            subject=f"--images: {folder}",
            hint=f"Move class folders into a split ({deep[0]}/{beside[0]}), or {_IN_A_FILE}",
        )
    context.note("folders named like splits, read as classes: class folders are next to them", *sorted(named))
    return Shape() if named else _splits_in_classes(folder, paths, context)


def _splits_in_classes(folder: Path, paths: Sequence[Folders], context: ReadContext) -> Shape:
    """Recognise splits inside class folders (``cat/train/1.jpg``); several datasets are refused."""
    inside = {path[1] for path in paths if len(path) > 1 and plain(path[1]) not in TRUTH}
    if any(len(path) < 2 for path in paths) or not all(map(split_of, inside)):
        return Shape()
    if any(len(path) > 2 for path in paths):
        tops = sorted({path[0] for path in paths})
        raise InvalidInput(
            "several datasets, each with splits that contain class folders",
            subject=f"--images: {folder}",
            found=tops,
            hint=f"Choose one of them: --images {folder / tops[0]}",
        )
    context.note("splits inside the class folders", *sorted(inside))
    return Shape(splits=frozenset(inside), split_last=True)


def _refuse_datasets(folder: Path, tops: Collection[str]) -> None:
    """Reject PASCAL VOC's and YOLO's layouts, whose labels are in files."""
    if "JPEGImages" in tops and (folder / "Annotations").is_dir():
        raise InvalidInput(
            "a dataset in PASCAL VOC layout; its folders are not classes",
            subject=f"--images: {folder}",
            hint=f"Check it with wsss data check {folder}, and use it in a pipeline: data: {{root: {folder}}}",
        )
    texts = chain((folder / "labels").rglob("*.txt"), folder.glob("*/labels/*.txt"))
    if all(split_of(top) or top.lower() in WRAPPERS for top in tops) and any(map(is_yolo, islice(texts, 20))):
        raise InvalidInput(
            "a dataset in YOLO layout; its box files (.txt) are not supported",
            subject=f"--images: {folder}",
            hint=f"Convert them to COCO: --images {folder / 'images'} --labels annotations.json",
        )


def _class_location(folders: Folders, split: str | None) -> Location:
    if not folders:
        return Location(None, split)
    return Location(folders[0], split, "/".join(folders[:2]) if len(folders) > 1 else "")


def _below(folders: Folders, front: Folders) -> Folders:
    """Return the folders after ``front``; none if they begin with others."""
    return folders[len(front) :] if folders[: len(front)] == front else ()
