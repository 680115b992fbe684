"""All importers: which one reads which file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

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
from wsss.data.importers.json import json_records
from wsss.data.importers.json.json_file import read_json
from wsss.data.importers.rules.imported_labels import Labels
from wsss.data.importers.rules.read_context import ReadContext, ReadOptions
from wsss.errors import InvalidInput, listing

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
LABEL_SUFFIXES = (*_SUFFIXES, ".json")
"""Suffixes of label files."""


def read_labels(images: Path, files: Sequence[str], labels: Path | None, options: ReadOptions | None = None) -> Labels:
    """Read image-level labels of any format.

    Args:
        files: paths of the images below the folder.
        labels: label file; ``None`` for a folder per class.
        options: see `ReadOptions`.

    Raises:
        InvalidInput: unknown format, an option that does not apply to it, or an invalid file; names file and line or
            key.
    """
    options = options or ReadOptions()
    context = ReadContext(options)
    format = _format(options, labels)
    check_options(format, options)
    if labels is None:
        return _with_numbers_noted(class_folders.read(images, files, context), context)
    try:
        read = replace(_READERS[format](labels, context), separable=format in APPLIES["--separator"])
        return _with_numbers_noted(read, context)
    except InvalidInput as error:
        if str(labels) in error.message:
            raise
        raise error.within(labels) from error


def _format(options: ReadOptions, labels: Path | None) -> str:
    """Return the format of a label file, after a check that it exists."""
    if labels is None:
        if options.format not in (AUTO, FOLDERS):
            raise InvalidInput(
                f"missing label file for --format {options.format}", subject="--labels", hint="Pass it: --labels FILE"
            )
        return FOLDERS
    if labels.is_dir():
        refuse_folder(labels, LABEL_SUFFIXES)
    if not labels.is_file():
        raise InvalidInput("no such file", subject=f"--labels: {labels}")
    if options.format == FOLDERS:
        raise InvalidInput("--format folders reads no label file", subject="--labels", hint="Omit --labels.")
    if options.format == AUTO:
        refuse_file(labels)
        return _recognise(labels)
    return options.format


def _with_numbers_noted(labels: Labels, context: ReadContext) -> Labels:
    """Note classes named by numbers; one of them may mean "no class"."""
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
            allowed=LABEL_SUFFIXES,
            hint=f"Set the format: --format {'|'.join(FORMATS[:-1])}",
        )
    return _SUFFIXES[suffix]


def _read_label_studio(labels: Path, context: ReadContext) -> Labels:
    """Read the export CSV, JSON-MIN or JSON; in the last, each task has ``data``."""
    is_csv = _SUFFIXES.get(labels.suffix.lower()) == "csv"
    content = None if is_csv else read_json(labels)
    is_min = isinstance(content, list) and not any(
        isinstance(task, dict) and isinstance(task.get("data"), dict) for task in content
    )
    if context.options.use_predictions and (is_csv or is_min):
        raise InvalidInput(
            "JSON-MIN and CSV exports contain no predictions",
            subject=f"{labels}: --use-predictions",
            hint="Export as JSON.",
        )
    read = csv_tables.read if is_csv else labelstudio_min.read if is_min else labelstudio_labels.read
    return read(labels, context)


_READERS: Mapping[str, Callable[[Path, ReadContext], Labels]] = {
    "csv": csv_tables.read,
    "json": json_records.read,
    "jsonl": json_records.read_lines,
    "npy": npy_labels.read,
    "coco": coco_labels.read,
    "label-studio": _read_label_studio,
    "cvat": cvat_labels.read,
}


APPLIES: Mapping[str, tuple[str, ...]] = {
    "--separator": ("csv", "json", "jsonl"),
    "--classes": ("npy",),
    "--label-key": ("csv", "json", "jsonl", "coco", "label-studio"),
    "--image-key": ("csv", "json", "jsonl", "label-studio"),
    "--use-predictions": ("label-studio",),
}
"""Option → formats of `wsss.data.importers.importer_registry`; `wsss.data.readers.label_rules` apply to all of them."""


def check_options(format: str, options: ReadOptions) -> None:
    """Require that every option that is set applies to the format.

    Raises:
        InvalidInput: an option does not apply; names the formats that it applies to.
    """
    for option, formats in APPLIES.items():
        value = getattr(options, option.removeprefix("--").replace("-", "_"))
        if value is None or value is False or format in formats:
            continue
        raise InvalidInput(
            "not applicable to this format",
            subject=option,
            found=format,
            allowed=formats,
            hint=f"Omit {option}, or set the format of the file: --format FORMAT",
        )
