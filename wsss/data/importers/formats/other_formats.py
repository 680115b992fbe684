"""Label files of other programs that are not supported: refused by name, with a hint to a supported format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from wsss.errors import InvalidInput, Verbatim

_TO_COCO = "Convert them to COCO (one JSON file), CVAT for images (one XML file), or a table image,labels."
_TO_CSV = "Save it as CSV (UTF-8) with the columns image and labels."
_UNPACK = "Unpack it, and pass the label file in it."
_NO_PICKLE = "Save the labels as CSV or JSON."

_YOLO_LINE = re.compile(r"\s*[0-9]+(\s+-?[0-9.]+(e-?[0-9]+)?){4,}\s*", re.IGNORECASE)
"""Class number and a box or a polygon, relative to the image's size."""

_SNIFFED = 4000
"""Bytes of a file that are inspected."""

_BY_SUFFIX = {
    **dict.fromkeys((".yaml", ".yml"), ("a YAML file, such as YOLO's class list", _TO_CSV)),
    ".parquet": ("a Parquet file", _TO_CSV),
    ".arrow": ("an Arrow file", _TO_CSV),
    ".tfrecord": ("a TFRecord file", _TO_CSV),
    **dict.fromkeys((".xlsx", ".xls"), ("an Excel workbook", _TO_CSV)),
    ".ods": ("a spreadsheet", _TO_CSV),
    ".mat": ("a MATLAB file", _TO_CSV),
    ".npz": ("an archive of arrays", _TO_CSV),
    **dict.fromkeys((".zip", ".tar", ".gz"), ("an archive", _UNPACK)),
    **dict.fromkeys((".pkl", ".pickle", ".pt"), ("a pickle", _NO_PICKLE)),
}
"""Suffix → kind of file, and hint."""


def refuse_file(path: Path) -> None:
    """Reject a label file of another program.

    Raises:
        InvalidInput: names the program or the kind of file.
    """
    kind, hint = _BY_SUFFIX.get(path.suffix.lower(), (None, _TO_COCO))
    if path.suffix.lower() == ".txt" and is_yolo(path):
        kind = "YOLO's boxes of one image"
    if kind is not None:
        raise _unsupported(path, kind, hint)


def refuse_folder(folder: Path, suffixes: Sequence[str]) -> None:
    """Reject a folder in place of a label file, with a guess at its contents.

    Raises:
        InvalidInput: always.
    """
    files = (path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith("."))
    paths = list(islice(files, 2000))
    if any(path.suffix.lower() == ".xml" for path in paths):
        raise _unsupported(folder, "a folder of PASCAL VOC annotations (an XML file per image)", _TO_COCO)
    if any(path.suffix == ".txt" and is_yolo(path) for path in paths[:50]):
        raise _unsupported(folder, "a folder of YOLO labels (a text file per image)", _TO_COCO)
    if sum(path.suffix == ".json" for path in paths) > 1:
        raise _unsupported(folder, "a folder of JSON annotations (one file per image, as in LabelMe)", _TO_COCO)
    raise InvalidInput(
        subject="--labels",
        found=Verbatim(f"the folder {folder}"),
        allowed=f"a label file ({', '.join(suffixes)})",
        hint=f"Pass the file: --labels FILE; if {folder} has one image folder per class: --images {folder}",
    )


def is_yolo(path: Path) -> bool:
    """Return whether the first lines of a text file are YOLO's."""
    with path.open("rb") as file:
        beginning = file.read(_SNIFFED)
    lines = beginning.decode("utf-8", "replace").splitlines()
    complete = lines if len(beginning) < _SNIFFED else lines[:-1]
    filled = [line for line in complete if line.strip()]
    return bool(filled) and all(map(_YOLO_LINE.fullmatch, filled))


def _unsupported(path: Path, kind: str, hint: str) -> InvalidInput:
    return InvalidInput(f"unsupported format: {kind}", subject=f"--labels: {path}", hint=hint)
