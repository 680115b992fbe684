"""A folder of photographs that is no dataset yet: its contents, broken files, and the call of `wsss init` for it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from wsss.data.checks.check import Collector, Report
from wsss.data.checks.inspection import Inspection, inspect_sample
from wsss.data.importers.formats import class_folders
from wsss.data.importers.listing import list_images
from wsss.data.importers.rules.read_context import Note
from wsss.data.sample import Classes, Sample
from wsss.data.sample_ids import without_suffix
from wsss.errors import InvalidInput, counted, listing
from wsss.io.rasters.image_kinds import unread

LABEL_SUFFIXES = (".csv", ".tsv", ".json", ".npy", ".xml", ".jsonl")
"""Suffixes of files that may hold labels of the images beside them."""

NEGATIVE = "no class"
"""What images of a folder such as ``good`` count as."""

_NO_CLASSES = Classes(("background",), ((0,),))


@dataclass(frozen=True)
class Photographs:
    """What `check_photographs` returns.

    Args:
        images: number of image files.
        classes: class (or `NEGATIVE`) → number of its images, where each class has a folder; else empty.
        label_files: files beside the images that may hold their labels.
        report: sizes, problems and notes; it has no splits.
        next: the command that makes a pipeline of the folder.
    """

    images: int
    classes: Mapping[str, int]
    label_files: tuple[Path, ...]
    report: Report
    next: str

    @property
    def description(self) -> str:
        """What the folder is, in one line."""
        count = counted(self.images, "image")
        if self.classes:
            parts = listing((f"{name} {number}" for name, number in self.classes.items()), limit=12)
            return f"a folder per class, {count}: {parts}"
        if self.label_files:
            return f"photographs, {count}, with what may be labels: {listing(path.name for path in self.label_files)}"
        return f"photographs without labels, {count}"

    def to_json(self) -> dict[str, object]:
        """Return the check as a JSON object: that of its report, and what the folder is."""
        kind = "class folders" if self.classes else "photographs"
        labels = [str(path) for path in self.label_files]
        more = {"kind": kind, "images": self.images, "label_files": labels, "next": self.next}
        return {**self.report.to_json(), "classes": list(self.classes), **more}


def check_photographs(
    folder: Path,
    *,
    workers: int = 4,
    start: Callable[[int], Callable[[int], None]] = lambda total: lambda steps: None,
) -> Photographs | None:
    """Read every image below a folder once; ``None`` where there is no image.

    Args:
        folder: may have subfolders.
        workers: number of threads.
        start: given the number of images, returns a function that is called with the number of images done.

    Raises:
        InvalidInput: the folder, or all images in it, can't be read.
    """
    if not has_images(folder):
        return None
    listed = list_images(folder)
    files = listed.images
    classes, reading_notes = _class_folders(folder, files)
    images = _images_folder(folder, files)
    labels = () if classes else _label_files(folder, images)
    problems, notes = Collector(), Collector()
    for kind, message in (*(list_images(folder, known=labels).notes if labels else listed.notes), *reading_notes):
        notes.add(kind, message)
    advance = start(len(files))
    found: list[Inspection] = []
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        for one in pool.map(lambda file: _inspected(folder, file), files):
            found.append(one)
            for kind, message in one.problems:
                problems.add(kind, message)
            for kind, message in one.notes:
                notes.add(kind, message)
            advance(1)
    sizes = sorted((one.size for one in found if one.size), key=lambda size: size[0] * size[1])
    report = Report(
        name=folder.resolve().name,
        root=str(folder),
        classes=(),
        splits={},
        sizes=(sizes[0], sizes[-1]) if sizes else None,
        problems=problems.findings(),
        notes=notes.findings(),
    )
    return Photographs(len(files), classes, labels, report, _next(folder if classes else images, labels, bool(classes)))


def has_images(folder: Path) -> bool:
    """Return whether there is an image file anywhere below a folder, also of a kind that can't be read."""
    folders = [folder, *(path for path in sorted(folder.glob("*")) if path.is_symlink() and path.is_dir())]
    return any(
        without_suffix(path.name) != path.name or unread(path.name) is not None
        for one in folders  # a class folder may be a link, which rglob doesn't follow
        for path in one.rglob("*")
        if not any(part.startswith(".") for part in path.relative_to(one).parts)
    )


def _inspected(folder: Path, file: str) -> Inspection:
    return inspect_sample(Sample(file, folder / file, None), _NO_CLASSES)


def _class_folders(folder: Path, files: Sequence[str]) -> tuple[dict[str, int], tuple[Note, ...]]:
    """Return class → number of images where the images lie in one folder per class, and notes, as `wsss init` has them.

    A single class is taken for a folder that is called after something else, such as a date.
    """
    try:
        labels = class_folders.read(folder, files)
    except InvalidInput:
        return {}, ()
    counts: Counter[str] = Counter()
    for entry in labels.entries:
        counts.update(("unlabelled",) if entry.labels is None else entry.labels or (NEGATIVE,))
    return (dict(counts), labels.notes) if len(counts) > 1 else ({}, ())


def _images_folder(folder: Path, files: Sequence[str]) -> Path:
    """Return the folder that holds the images: ``folder``, or the only one below it that has any (``images``)."""
    tops = {file.split("/")[0] if "/" in file else "" for file in files}
    return folder / tops.pop() if len(tops) == 1 else folder


def _label_files(folder: Path, images: Path) -> tuple[Path, ...]:
    """Return the files in a folder, and beside its images, that may hold labels."""
    places = dict.fromkeys([folder, *([images] if images != folder else [])])
    return tuple(path for place in places for path in sorted(place.iterdir()) if _may_hold_labels(path))


def _may_hold_labels(path: Path) -> bool:
    return path.suffix.lower() in LABEL_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _next(images: Path, labels: Sequence[Path], has_classes: bool) -> str:
    words = ["wsss", "init", "--images", str(images)]
    if labels:
        return shlex.join([*words, "--labels", str(labels[0])])
    return shlex.join(words) if has_classes else f"{shlex.join(words)} --labels FILE"
