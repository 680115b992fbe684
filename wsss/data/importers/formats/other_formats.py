"""Label files of other programs that are not read here: refused by name, with a hint to what is read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from wsss.errors import InvalidInput

TO_COCO = "Convert them to COCO (one JSON file), CVAT for images (one XML file), or a table image,labels."
YOLO_LINE = re.compile(r"\s*[0-9]+(\s+-?[0-9.]+(e-?[0-9]+)?){4,}\s*", re.IGNORECASE)
"""Class number and a box, or a polygon, all relative to the image's size."""

_BEGINNING = 4000
"""Bytes that are looked at."""

_BY_SUFFIX = {
    ".yaml": "a YAML file, as YOLO keeps class names in",
    ".yml": "a YAML file, as YOLO keeps class names in",
    ".parquet": "a Parquet file",
    ".arrow": "an Arrow file",
    ".tfrecord": "TensorFlow records",
    ".xlsx": "an Excel workbook",
    ".xls": "an Excel workbook",
    ".ods": "a spreadsheet",
    ".zip": "an archive",
    ".tar": "an archive",
    ".gz": "an archive",
    ".mat": "a MATLAB file",
    ".pkl": "a pickle",
    ".pickle": "a pickle",
    ".pt": "a pickle",
    ".npz": "an archive of arrays",
}
_MENDS = {"an archive": "Unpack it, and name the label file in it.", "a pickle": "Save the labels as CSV or JSON."}


def refuse_file(path: Path) -> None:
    """Refuse a label file of another program.

    Raises:
        InvalidInput: it is one; names the program or the kind of file.
    """
    kind = _BY_SUFFIX.get(path.suffix.lower())
    if kind is not None:
        hint = _MENDS.get(kind, "Save it as CSV (UTF-8) with the columns image and labels.")
        raise InvalidInput(f"--labels: {path} is {kind}, which is not read.", hint=hint)
    if path.suffix.lower() == ".txt" and is_yolo(path):
        raise InvalidInput(f"--labels: {path} holds YOLO's boxes of one image, which are not read.", hint=TO_COCO)


def refuse_folder(folder: Path, suffixes: Sequence[str]) -> None:
    """Refuse a folder in place of a label file, and name what it seems to hold.

    Raises:
        InvalidInput: always.
    """
    names = list(islice(_files(folder), 2000))
    found = {
        "PASCAL VOC annotations (XML, a file per image)": any(path.suffix.lower() == ".xml" for path in names),
        "YOLO labels (text, a file per image)": any(path.suffix == ".txt" and is_yolo(path) for path in names[:50]),
        "annotations in JSON (a file per image, as LabelMe writes them)": sum(p.suffix == ".json" for p in names) > 1,
    }
    kind = next((kind for kind, there in found.items() if there), None)
    if kind is not None:
        raise InvalidInput(f"--labels: {folder} is a folder of {kind}; they are not read.", hint=TO_COCO)
    raise InvalidInput(
        f"--labels: {folder} is a folder; expected is a file of labels ({', '.join(suffixes)}).",
        hint=f"Name the file: --labels FILE; if {folder} holds a folder of images per class: --images {folder}",
    )


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith("."))


def is_yolo(path: Path) -> bool:
    """Whether the first lines of a text are those of YOLO."""
    with path.open("rb") as file:
        beginning = file.read(_BEGINNING)
    lines = beginning.decode("utf-8", "replace").splitlines()
    whole = lines if len(beginning) < _BEGINNING else lines[:-1]
    filled = [line for line in whole if line.strip()]
    return bool(filled) and all(map(YOLO_LINE.fullmatch, filled))
