"""All importers: which one reads which file."""

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

NUMBERS = "numbers as class names (if one of them means no class: --negative NUMBER)"
AUTO = "auto"
FOLDERS = "folders"
FORMATS = ("csv", "json", "jsonl", "npy", "coco", "label-studio", "cvat", FOLDERS)
_SUFFIXES = {
    **dict.fromkeys((".csv", ".tsv", ".txt"), "csv"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    ".npy": "npy",
    ".xml": "cvat",
}
_ALL_SUFFIXES = (*_SUFFIXES, ".json")


@dataclass(frozen=True)
class How:
    """Options for reading a label file; `wsss.data.importers.format_options` lists which apply to which format.

    Args:
        format: one of `FORMATS`, or ``auto``: by suffix, for JSON by content.
        separator: between labels in a cell of a CSV table or in a JSON string; see
            `wsss.data.importers.formats.csv_tables.read`.
        classes: class list with the names of the vectors' elements, for ``npy``.
        label_key: key, column or control of the labels; comma-separated for several columns of 0 and 1. By default one
            with a usual name.
        rules: which labels mean "no class" or "unknown".
        image_key: key or column of the images; by default one with a usual name.
        use_predictions: Label Studio: read the predictions of tasks without annotation.
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
        images: folder of the images.
        files: paths of the images below it.
        labels: label file; ``None`` for a folder per class.
        how: see `How`.

    Raises:
        InvalidInput: unknown format, an option that does not apply to it, or an invalid file; names file and line or
            key.
    """
    how = how or How()
    context = ReadContext(how.rules, image_key=how.image_key)
    format = _format(how, labels)
    check_options(
        format,
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
        return _with_numbers_noted(_read(format, labels, how, context), context)
    except InvalidInput as error:
        if str(labels) in error.message:
            raise
        raise error.within(labels) from error


def _format(how: How, labels: Path | None) -> str:
    """Return the format of a label file, after a check that it exists."""
    if labels is None:
        if how.format not in (AUTO, FOLDERS):
            raise InvalidInput(
                f"missing label file for --format {how.format}", subject="--labels", hint="Pass it: --labels FILE"
            )
        return FOLDERS
    if labels.is_dir():
        refuse_folder(labels, _ALL_SUFFIXES)
    if not labels.is_file():
        raise InvalidInput("no such file", subject=f"--labels: {labels}")
    if how.format == FOLDERS:
        raise InvalidInput("--format folders reads no label file", subject="--labels", hint="Leave --labels out.")
    if how.format == AUTO:
        refuse_file(labels)
        return _recognise(labels)
    return how.format


def _read(format: str, labels: Path, how: How, context: ReadContext) -> Labels:
    key, separator = how.label_key, how.separator
    readers: Mapping[str, Callable[[], Labels]] = {
        "csv": lambda: csv_tables.read(labels, separator=separator, label_key=key, context=context),
        "json": lambda: json_records.read(labels, label_key=key, separator=separator, context=context),
        "jsonl": lambda: json_lines.read(labels, label_key=key, separator=separator, context=context),
        "npy": lambda: npy_labels.read(labels, class_names=_element_names(how.classes, context), context=context),
        "coco": lambda: coco_labels.read(labels, label_key=key, context=context),
        "label-studio": lambda: _label_studio(labels, how, context),
        "cvat": lambda: cvat_labels.read(labels, context=context),
    }
    return readers[format]()


def _element_names(path: Path | None, context: ReadContext) -> list[str] | None:
    """Return the names of a vector's elements: the first has class id 1.

    Raises:
        InvalidInput: the class ids are not 1 to their number.
    """
    if path is None:
        return None
    ids = read_class_list(path)
    names = sorted(ids, key=ids.__getitem__)
    if sorted(ids.values()) != list(range(1, len(ids) + 1)):
        raise InvalidInput(
            "class ids of the elements of a vector",
            subject=f"--classes: {path}",
            found=sorted(ids.values()),
            allowed=f"1 to {len(ids)}",
            hint="Number the classes from 1 in the order of the elements, or leave the ids out.",
        )
    if names != list(ids):
        context.note("classes ordered by id: the first element of a vector is class 1", f"{path}")
    if any(line.text.split()[-1] == BACKGROUND for line in read_lines(path) if not line.text.startswith("#")):
        context.note("background in the class list, left out: it is not an element of the vectors", f"{path}")
    return names


def _with_numbers_noted(labels: Labels, context: ReadContext) -> Labels:
    """Note classes with numbers as names, of which one may mean "no class"."""
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
            "unknown suffix",
            subject=f"--labels: {labels}",
            found=suffix,
            allowed=_ALL_SUFFIXES,
            hint=f"Set the format: --format {'|'.join(FORMATS[:-1])}",
        )
    return _SUFFIXES[suffix]


def _label_studio(labels: Path, how: How, context: ReadContext) -> Labels:
    """Read the export CSV, JSON-MIN or JSON; in the last, each task has ``data``."""
    is_csv = _SUFFIXES.get(labels.suffix.lower()) == "csv"
    content = None if is_csv else read_json(labels)
    is_min = isinstance(content, list) and not any(
        isinstance(task, dict) and isinstance(task.get("data"), dict) for task in content
    )
    if how.use_predictions and (is_csv or is_min):
        raise InvalidInput(
            "exports as JSON-MIN and CSV have no predictions",
            subject=f"{labels}: --use-predictions",
            hint="Export as JSON.",
        )
    if is_csv:
        return csv_tables.read(labels, label_key=how.label_key, context=context)
    if is_min:
        return labelstudio_min.read(labels, label_key=how.label_key, context=context)
    return labelstudio_labels.read(
        labels, label_key=how.label_key, use_predictions=how.use_predictions, context=context
    )
