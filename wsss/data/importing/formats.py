"""Which importer reads which file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wsss.data.classlist import read_class_list
from wsss.data.importing import coco, folders, labelstudio, labelstudio_min, npyfile, records, tables
from wsss.data.importing.jsonfile import read_json
from wsss.data.importing.labels import Labels
from wsss.data.importing.reading import Reading
from wsss.data.label_rules import Rules
from wsss.errors import InvalidInput, listing

AUTO = "auto"
FOLDERS = "folders"
_SUFFIXES = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".npy": "npy"}
FORMATS = ("csv", "json", "npy", "coco", "label-studio", FOLDERS)


@dataclass(frozen=True)
class How:
    """What can be said of how a label file is to be read.

    Args:
        format: one of `FORMATS`, or ``auto``: by suffix, and for JSON by what is in it.
        separator: between labels in a cell of a CSV table or in a text of JSON; see `wsss.data.importing.tables.read`.
        class_names: class list with the names of the vectors' elements, for ``npy``.
        label_key: key or column of the labels, for records and tables that call it otherwise than is usual; several
            columns of 0 and 1 are separated by commas.
        rules: which labels mean that no class is there, or that nobody knows.
    """

    format: str = AUTO
    separator: str | None = None
    class_names: Path | None = None
    label_key: str | None = None
    rules: Rules | None = None


def read_labels(images: Path, files: Sequence[str], labels: Path | None, how: How | None = None) -> Labels:
    """Read image-level labels of any format.

    Args:
        images: the images' folder.
        files: paths of the images below it.
        labels: the label file; ``None`` for a folder per class.
        how: see `How`.

    Raises:
        InvalidInput: unknown format, or anything wrong in the file; names file and line or key.
    """
    how = how or How()
    format, reading = how.format, Reading(how.rules)
    if labels is None and format in (AUTO, FOLDERS):
        return folders.read(images, files, reading)
    if labels is None:
        raise InvalidInput(f"--format {format}: the file is missing.", mend="Name it: --labels FILE")
    if labels.is_dir():
        raise InvalidInput(
            f"--labels: {labels} is a folder; expected is a file of labels ({', '.join([*_SUFFIXES, '.json'])}).",
            mend=f"Name the file: --labels FILE; if {labels} holds a folder of images per class: --images {labels}",
        )
    if not labels.is_file():
        raise InvalidInput(f"--labels: {labels}: no such file.")
    chosen = _recognise(labels) if format == AUTO else format
    names = list(read_class_list(how.class_names)) if how.class_names is not None else None
    readers: Mapping[str, Callable[[], Labels]] = {
        "csv": lambda: tables.read(labels, separator=how.separator, label_key=how.label_key, reading=reading),
        "json": lambda: records.read(labels, label_key=how.label_key, separator=how.separator, reading=reading),
        "npy": lambda: npyfile.read(labels, class_names=names, reading=reading),
        "coco": lambda: coco.read(labels, reading=reading),
        "label-studio": lambda: _label_studio(labels, how.label_key, reading),
    }
    if chosen not in readers:
        raise InvalidInput(f"--format {chosen}: no label file is read for it; leave --labels out.")
    try:
        return readers[chosen]()
    except InvalidInput as error:
        if str(labels) in error.message:
            raise
        raise InvalidInput(f"{labels}: {error.message}", mend=error.mend) from error


def _recognise(labels: Path) -> str:
    suffix = labels.suffix.lower()
    if suffix == ".json":
        content = read_json(labels)
        if coco.looks_like(content):
            return "coco"
        studio = labelstudio.looks_like(content) or labelstudio_min.looks_like(content)
        return "label-studio" if studio else "json"
    if suffix not in _SUFFIXES:
        raise InvalidInput(
            f"--labels: {labels}: its suffix doesn't say what it is; known are {listing([*_SUFFIXES, '.json'])}.",
            mend=f"Say what it is: --format {'|'.join(FORMATS[:-1])}",
        )
    return _SUFFIXES[suffix]


def _label_studio(labels: Path, label_key: str | None, reading: Reading) -> Labels:
    """Read the export CSV, JSON-MIN or JSON: in the last, each task has its image among its ``data``."""
    if _SUFFIXES.get(labels.suffix.lower()) == "csv":
        return tables.read(labels, label_key=label_key, reading=reading)
    content = read_json(labels)
    if isinstance(content, list) and not any(
        isinstance(task, dict) and isinstance(task.get("data"), dict) for task in content
    ):
        return labelstudio_min.read(labels, label_key=label_key, reading=reading)
    return labelstudio.read(labels, label_key=label_key, reading=reading)
