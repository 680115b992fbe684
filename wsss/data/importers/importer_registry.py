"""Which importer reads which file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wsss.data.class_list import BACKGROUND, read_class_list
from wsss.data.importers.format_options import check_options
from wsss.data.importers.formats import (
    class_folders,
    coco_labels,
    csv_tables,
    cvat_labels,
    labelstudio_labels,
    labelstudio_min,
    npy_labels,
)
from wsss.data.importers.formats.other_formats import refuse_file, refuse_folder
from wsss.data.importers.json import json_lines, json_records
from wsss.data.importers.json.json_file import read_json
from wsss.data.importers.rules.imported_labels import Labels
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.readers.label_rules import Rules
from wsss.errors import InvalidInput, listing
from wsss.io.text.text_files import read_lines

NUMBERS = "classes called by numbers (if one of them means that no class is in the image: --negative NUMBER)"
AUTO = "auto"
FOLDERS = "folders"
_SUFFIXES = {
    **dict.fromkeys((".csv", ".tsv", ".txt"), "csv"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    ".npy": "npy",
    ".xml": "cvat",
}
SUFFIXES = (*_SUFFIXES, ".json")
FORMATS = ("csv", "json", "jsonl", "npy", "coco", "label-studio", "cvat", FOLDERS)


@dataclass(frozen=True)
class How:
    """Options for reading a label file; `wsss.data.importers.format_options` lists which apply to which format.

    Args:
        format: one of `FORMATS`, or ``auto``: by suffix, and for JSON by what is in it.
        separator: between labels in a cell of a CSV table or in a text of JSON; see
            `wsss.data.importers.formats.csv_tables.read`.
        classes: class list with the names of the vectors' elements, for ``npy``.
        label_key: key, column or control of the labels, where they are called otherwise than is usual; several columns
            of 0 and 1 are separated by commas.
        rules: which labels mean that no class is present, or that it is unknown.
        image_key: key or column of the images, where they are called otherwise than is usual.
        use_predictions: tasks of Label Studio without annotation have the labels of their predictions.
    """

    format: str = AUTO
    separator: str | None = None
    classes: Path | None = None
    label_key: str | None = None
    rules: Rules | None = None
    image_key: str | None = None
    use_predictions: bool = False


def read_labels(images: Path, files: Sequence[str], labels: Path | None, how: How | None = None) -> Labels:
    """Read image-level labels of any format.

    Args:
        images: the images' folder.
        files: paths of the images below it.
        labels: the label file; ``None`` for a folder per class.
        how: see `How`.

    Raises:
        InvalidInput: unknown format, an option that doesn't apply to it, or anything wrong in the file; names file and
            line or key.
    """
    how = how or How()
    context = ReadContext(how.rules, image_key=how.image_key)
    chosen = _format(how, labels)
    check_options(
        chosen,
        {
            "--separator": how.separator,
            "--classes": how.classes,
            "--label-key": how.label_key,
            "--image-key": how.image_key,
            "--use-predictions": how.use_predictions,
        },
    )
    if labels is None:
        return class_folders.read(images, files, context)
    try:
        return _with_numbers_noted(_read(chosen, labels, how, context), context)
    except InvalidInput as error:
        if str(labels) in error.message:
            raise
        raise InvalidInput(f"{labels}: {error.message}", hint=error.hint) from error


def _format(how: How, labels: Path | None) -> str:
    """Return the format of a label file that exists.

    Raises:
        InvalidInput: there is no such file, or its format isn't known.
    """
    if labels is None:
        if how.format not in (AUTO, FOLDERS):
            raise InvalidInput(f"--format {how.format}: the file is missing.", hint="Name it: --labels FILE")
        return FOLDERS
    if labels.is_dir():
        refuse_folder(labels, SUFFIXES)
    if not labels.is_file():
        raise InvalidInput(f"--labels: {labels}: no such file.")
    if how.format == FOLDERS:
        raise InvalidInput("--format folders: no label file is read for it; leave --labels out.")
    if how.format == AUTO:
        refuse_file(labels)
        return _recognise(labels)
    return how.format


def _read(chosen: str, labels: Path, how: How, context: ReadContext) -> Labels:
    names = _elements(how.classes, context) if how.classes is not None else None
    key, separator = how.label_key, how.separator
    readers: Mapping[str, Callable[[], Labels]] = {
        "csv": lambda: csv_tables.read(labels, separator=separator, label_key=key, context=context),
        "json": lambda: json_records.read(labels, label_key=key, separator=separator, context=context),
        "jsonl": lambda: json_lines.read(labels, label_key=key, separator=separator, context=context),
        "npy": lambda: npy_labels.read(labels, class_names=names, context=context),
        "coco": lambda: coco_labels.read(labels, label_key=key, context=context),
        "label-studio": lambda: _label_studio(labels, how, context),
        "cvat": lambda: cvat_labels.read(labels, context=context),
    }
    return readers[chosen]()


def _elements(path: Path, context: ReadContext) -> list[str]:
    """Return the names of a vector's elements: the class with id 1 names the first.

    Raises:
        InvalidInput: the ids of the classes are not 1 to their number.
    """
    ids = read_class_list(path)
    names = sorted(ids, key=ids.__getitem__)
    if sorted(ids.values()) != list(range(1, len(ids) + 1)):
        raise InvalidInput(
            f"--classes: {path}: the ids are {listing(map(str, sorted(ids.values())), limit=9)}; the elements of a "
            f"vector are 1 to {len(ids)}.",
            hint="Number the classes from 1 in the order of the elements, or leave the ids out.",
        )
    if names != list(ids):
        context.note("classes ordered by their ids: the first element of a vector is the class with id 1", f"{path}")
    if any(line.text.split()[-1] == BACKGROUND for line in read_lines(path) if not line.text.startswith("#")):
        context.note("the background in the class list, left out: it is no element of a vector", f"{path}")
    return names


def _with_numbers_noted(labels: Labels, context: ReadContext) -> Labels:
    """Note classes that are numbers, one of which may mean that no class is in the image."""
    numbers = len(labels.classes) > 1 and all(map(str.isdecimal, labels.classes))
    if not numbers or context.rules.negative is not None:
        return labels
    return replace(labels, notes=(*labels.notes, (NUMBERS, listing(labels.classes))))


def _recognise(labels: Path) -> str:
    suffix = labels.suffix.lower()
    if suffix == ".json":
        content = read_json(labels)
        if coco_labels.looks_like(content):
            return "coco"
        studio = labelstudio_labels.looks_like(content) or labelstudio_min.looks_like(content)
        return "label-studio" if studio else "json"
    if suffix not in _SUFFIXES:
        raise InvalidInput(
            f"--labels: {labels}: its suffix doesn't say what it is; known are {listing(SUFFIXES, limit=20)}.",
            hint=f"Say what it is: --format {'|'.join(FORMATS[:-1])}",
        )
    return _SUFFIXES[suffix]


def _label_studio(labels: Path, how: How, context: ReadContext) -> Labels:
    """Read the export CSV, JSON-MIN or JSON: in the last, each task has its image among its ``data``."""
    is_csv = _SUFFIXES.get(labels.suffix.lower()) == "csv"
    content = None if is_csv else read_json(labels)
    short = isinstance(content, list) and not any(
        isinstance(task, dict) and isinstance(task.get("data"), dict) for task in content
    )
    if how.use_predictions and (is_csv or short):
        raise InvalidInput(
            f"{labels}: --use-predictions: exports as JSON-MIN and CSV have no predictions.", hint="Export as JSON."
        )
    if is_csv:
        return csv_tables.read(labels, label_key=how.label_key, context=context)
    if short:
        return labelstudio_min.read(labels, label_key=how.label_key, context=context)
    return labelstudio_labels.read(
        labels, label_key=how.label_key, use_predictions=how.use_predictions, context=context
    )
