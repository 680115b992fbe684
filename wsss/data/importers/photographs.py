"""A folder of images that is not a dataset yet: its contents, broken files, and the `wsss init` command for it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wsss.data.checks.check_report import Collected, Report, extreme_sizes
from wsss.data.checks.inspection import inspect_sample
from wsss.data.classes import Classes
from wsss.data.importers.formats import class_folders
from wsss.data.importers.listing import list_images
from wsss.data.importers.rules.read_context import Note
from wsss.data.sample import Sample
from wsss.data.sample_ids import without_suffix
from wsss.errors import InvalidInput, counted, listing
from wsss.io.process.thread_map import map_in_threads
from wsss.io.rasters.image_kinds import unsupported_reason

LABEL_SUFFIXES = (".csv", ".tsv", ".json", ".npy", ".xml", ".jsonl")
"""Suffixes of files that may contain labels."""

NEGATIVE = "no class"
"""Class shown for images in a folder such as ``good``."""

_NO_CLASSES = Classes(("background",), ((0,),))


@dataclass(frozen=True)
class Photographs:
    """The result of `check_photographs`.

    Args:
        images: number of image files.
        classes: class (or `NEGATIVE`) → number of images, if there is a folder per class; else empty.
        label_files: files next to the images that may contain their labels.
        report: sizes, problems and notes; no splits.
        next: the command that creates a pipeline for the folder.
    """

    images: int
    classes: Mapping[str, int]
    label_files: tuple[Path, ...]
    report: Report
    next: str

    @property
    def description(self) -> str:
        """The contents of the folder in one line."""
        count = counted(self.images, "image")
        if self.classes:
            parts = listing((f"{name} {number}" for name, number in self.classes.items()), limit=12)
            return f"a folder per class, {count}: {parts}"
        if self.label_files:
            return f"photographs, {count}; possible labels: {listing(path.name for path in self.label_files)}"
        return f"photographs without labels, {count}"

    def to_json(self) -> dict[str, object]:
        """Return the report as a JSON object, with the contents of the folder."""
        kind = "class folders" if self.classes else "photographs"
        labels = [str(path) for path in self.label_files]
        more = {"kind": kind, "images": self.images, "label_files": labels, "next": self.next}
        return {**self.report.to_json(), "classes": list(self.classes), **more}


def check_photographs(
    folder: Path, *, workers: int = 4, start: Callable[[int], Callable[[int], None]] = lambda total: lambda steps: None
) -> Photographs | None:
    """Check every image below a folder; ``None`` if there is none.

    Args:
        folder: the folder; subfolders are searched too.
        workers: number of threads.
        start: called with the number of images; returns the function called with the number of finished ones.

    Raises:
        InvalidInput: the folder, or every image in it, is unreadable.
    """
    if not has_images(folder):
        return None
    listed = list_images(folder)
    files = listed.images
    classes, reading_notes = _class_folders(folder, files)
    images = _images_folder(folder, files)
    labels = () if classes else _label_files(folder, images)
    collected = Collected()
    for kind, message in (*(list_images(folder, known=labels).notes if labels else listed.notes), *reading_notes):
        collected.notes.add(kind, message)
    inspections = map_in_threads(
        lambda file: inspect_sample(Sample(file, folder / file), _NO_CLASSES),
        files,
        workers=workers,
        advance=start(len(files)),
    )
    collected.add_inspections(inspections)
    report = Report(
        name=folder.resolve().name,
        root=str(folder),
        classes=(),
        splits={},
        sizes=extreme_sizes(inspections),
        problems=collected.problems.findings(),
        notes=collected.notes.findings(),
    )
    return Photographs(len(files), classes, labels, report, _next(folder if classes else images, labels, bool(classes)))


def has_images(folder: Path) -> bool:
    """Return whether there is an image file below a folder, in a supported format or not."""
    folders = [folder, *(path for path in sorted(folder.glob("*")) if path.is_symlink() and path.is_dir())]
    return any(
        without_suffix(path.name) != path.name or unsupported_reason(path.name) is not None
        for child in folders  # class folders may be links, which rglob does not follow
        for path in child.rglob("*")
        if not any(part.startswith(".") for part in path.relative_to(child).parts)
    )


def _class_folders(folder: Path, files: Sequence[str]) -> tuple[dict[str, int], tuple[Note, ...]]:
    """Return class → number of images if there is one folder per class, and the notes of `wsss init`.

    A single folder is not treated as a class: its name may be a date, for example.
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
    """Return the folder of the images: ``folder``, or the only folder in it that has images (``images``)."""
    tops = {file.split("/")[0] if "/" in file else "" for file in files}
    return folder / tops.pop() if len(tops) == 1 else folder


def _label_files(folder: Path, images: Path) -> tuple[Path, ...]:
    """Return the possible label files in a folder and in its image folder."""
    folders = dict.fromkeys((folder, images))
    return tuple(path for parent in folders for path in sorted(parent.iterdir()) if _may_hold_labels(path))


def _may_hold_labels(path: Path) -> bool:
    return path.suffix.lower() in LABEL_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _next(images: Path, labels: Sequence[Path], has_classes: bool) -> str:
    words = ["wsss", "init", "--images", str(images)]
    if labels:
        return shlex.join([*words, "--labels", str(labels[0])])
    return shlex.join(words) if has_classes else f"{shlex.join(words)} --labels FILE"
