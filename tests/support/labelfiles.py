"""Writers of image-level labels in the formats that `wsss init` reads, and views of the labels that it reads."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import numpy as np

from wsss.data.importers.importer_registry import read_labels
from wsss.data.importers.rules import imported_labels
from wsss.data.importers.rules.read_context import ReadOptions

Labels = Mapping[str, tuple[str, ...]]
"""File name → class names."""


def read(path: Path, **options: Any) -> imported_labels.Labels:
    """Read a label file of any format."""
    return read_labels(path.parent, [], path, ReadOptions(**options))


def by_image(labels: imported_labels.Labels) -> dict[str, tuple[str, ...] | None]:
    """Return image → its classes."""
    return {entry.image: entry.labels for entry in labels.entries}


def by_kind(notes: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return kind → messages."""
    kinds: dict[str, list[str]] = {}
    for kind, message in notes:
        kinds.setdefault(kind, []).append(message)
    return kinds


def noted(labels: imported_labels.Labels, words: str) -> bool:
    """Return whether the kind of a note contains some words."""
    return any(words in kind for kind, _ in labels.notes)


def classes_of(labels: Labels) -> list[str]:
    return sorted({name for names in labels.values() for name in names})


def rows(path: Path, labels: Labels) -> Path:
    path = path.with_suffix(".csv")
    path.write_text("image,labels\n" + "".join(f"{file},{'|'.join(names)}\n" for file, names in labels.items()))
    return path


def long_rows(path: Path, labels: Labels) -> Path:
    """One row per label, an empty cell for an image without any."""
    path = path.with_suffix(".tsv")
    lines = [f"{file}\t{name}\n" for file, names in labels.items() for name in names or ("",)]
    path.write_text("filename\tlabel\n" + "".join(lines))
    return path


def wide(path: Path, labels: Labels) -> Path:
    path = path.with_suffix(".csv")
    classes = classes_of(labels)
    lines = [";".join([file, *(str(int(name in names)) for name in classes)]) for file, names in labels.items()]
    path.write_text("\n".join([";".join(["Image", *classes]), *lines]) + "\n")
    return path


def json_object(path: Path, labels: Labels) -> Path:
    path = path.with_suffix(".json")
    path.write_text(json.dumps({Path(file).stem: list(names) for file, names in labels.items()}))
    return path


def json_records(path: Path, labels: Labels) -> Path:
    path = path.with_suffix(".json")
    path.write_text(json.dumps([{"file_name": file, "tags": list(names)} for file, names in labels.items()]))
    return path


def json_lines(path: Path, labels: Labels) -> Path:
    """``metadata.jsonl`` of Hugging Face's ImageFolder."""
    path = path.with_suffix(".jsonl")
    records = ({"file_name": file, "labels": list(names)} for file, names in labels.items())
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return path


def npy(path: Path, labels: Labels) -> Path:
    """``cls_labels.npy``, with the class names in a file next to it."""
    path = path.with_suffix(".npy")
    classes = classes_of(labels)
    vectors = {
        Path(file).stem: np.array([name in names for name in classes], np.float32) for file, names in labels.items()
    }
    np.save(path, vectors)
    path.with_name("names.txt").write_text("\n".join(classes))
    return path


def coco(path: Path, labels: Labels) -> Path:
    path = path.with_suffix(".json")
    ids = {name: 10 * number for number, name in enumerate(classes_of(labels), start=1)}
    images = [{"id": number, "file_name": file, "height": 9, "width": 9} for number, file in enumerate(labels)]
    annotations = [
        {
            "id": 1000 * number + at,
            "image_id": number,
            "category_id": ids[name],
            "bbox": [0, 0, 2, 2],
            "iscrowd": at % 2,
        }
        for number, names in enumerate(labels.values())
        for at, name in enumerate((*names, *names[:1]))  # two objects of the first class
    ]
    categories = [{"id": number, "name": name, "supercategory": "thing"} for name, number in ids.items()]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def label_studio(path: Path, labels: Labels) -> Path:
    path = path.with_suffix(".json")
    tasks = []
    for number, (file, names) in enumerate(labels.items()):
        choices = [{"type": "choices", "from_name": "c", "to_name": "image", "value": {"choices": list(names)}}]
        skipped = {"was_cancelled": True, "result": []}
        done = {"was_cancelled": False, "result": choices if names else []}
        url = f"/data/upload/3/{number:08x}-{file}"
        tasks.append({"id": number, "data": {"image": url}, "annotations": [skipped, done]})
    path.write_text(json.dumps(tasks))
    return path


def label_studio_boxes(path: Path, labels: Labels) -> Path:
    """Labelled boxes in place of choices."""
    path = label_studio(path, labels)
    tasks = json.loads(path.read_text())
    for task in tasks:
        for result in task["annotations"][1]["result"]:
            names = result["value"].pop("choices")
            result |= {"type": "rectanglelabels", "value": {"x": 1, "y": 1, "rectanglelabels": names}}
    path.write_text(json.dumps(tasks))
    return path


def label_studio_min(path: Path, labels: Labels) -> Path:
    """JSON-MIN: a string for one choice, an object for several, no key for none."""
    path = path.with_suffix(".json")
    path.write_text(json.dumps(_studio_records(labels, control="choice")))
    return path


def label_studio_csv(path: Path, labels: Labels) -> Path:
    """JSON-MIN as a table: several choices are JSON in a cell, columns are sorted."""
    path = path.with_suffix(".csv")
    records = _studio_records(labels, control="what is it")
    with path.open("w", encoding="utf-8", newline="") as file:
        header = sorted({key for record in records for key in record})
        writer = csv.DictWriter(file, header, quoting=csv.QUOTE_NONNUMERIC)
        writer.writeheader()
        for record in records:
            writer.writerow({k: v if isinstance(v, str | int) else json.dumps(v) for k, v in record.items()})
    return path


def _studio_records(labels: Labels, *, control: str) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for number, (file, names) in enumerate(labels.items()):
        chosen = names[0] if len(names) == 1 else {"choices": list(names)}
        image = f"/data/local-files/?d=photos/{quote(file)}"
        record = {"image": image, "id": number, "annotator": 1, "annotation_id": 10 + number, "lead_time": 3}
        records.append({**record, control: chosen} if names else record)
    return records


def cvat(path: Path, labels: Labels) -> Path:
    """CVAT for images 1.1; a tag for the first class of an image, boxes for the others."""
    path = path.with_suffix(".xml")
    root = ElementTree.Element("annotations")
    for number, (file, names) in enumerate(labels.items()):
        image = ElementTree.SubElement(root, "image", id=str(number), name=file, width="9", height="9")
        for at, name in enumerate(names):
            ElementTree.SubElement(image, "box" if at else "tag", label=name, source="manual")
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
    return path


WRITERS: Mapping[str, Callable[[Path, Labels], Path]] = {
    writer.__name__: writer
    for writer in (
        *(rows, long_rows, wide, json_object, json_records, json_lines, npy, coco, cvat),
        *(label_studio, label_studio_boxes, label_studio_min, label_studio_csv),
    )
}


def put(file: Path, value: Any) -> Path:
    """Write a value as JSON, and return the file."""
    file.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return file
