"""Readers of exports that behave like CVAT's importer (datumaro) and Label Studio's file server.

The packages of these tools cannot be test dependencies: datumaro requires opencv-python-headless below 5, pandas and
pyarrow; label-studio-sdk requires opencv-python-headless below 4.13 and some forty packages. The readers reimplement
datumaro 0.5 (the VOC plugin behind CVAT's "Segmentation mask 1.1") and label-studio-sdk 2.1, including the input that
they skip silently. `read_by_datumaro` calls datumaro itself; its tests run if it is installed.
benchmarks/round_trips.py runs both packages in another environment.
"""

from __future__ import annotations

import posixpath
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HAS_DATUMARO = find_spec("datumaro") is not None
IMAGES = (".jpg", ".jpeg", ".jpe", ".jp2", ".png", ".bmp", ".dib", ".tif", ".tiff", ".tga", ".webp", ".ppm", ".pgm")


class TargetRefuses(Exception):
    """The tool cannot import the file."""


@dataclass(frozen=True)
class Imported:
    """An imported image: its file, if the archive has it, and (label, pixels) of each object."""

    image: Path | None
    objects: list[tuple[str, NDArray[np.bool_]]]


def unpacked(archive: Path, folder: Path) -> Path:
    """Unpack an archive into a folder, and return the folder."""
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    return folder


def read_as_datumaro(root: Path) -> dict[str, Imported]:
    """Return id → image of a folder in VOC layout."""
    labels = _labelmap(root / "labelmap.txt")
    images = {}
    for path in sorted((root / "JPEGImages").rglob("*")):
        if path.suffix.lower() in IMAGES and path.is_file():
            images[path.relative_to(root / "JPEGImages").with_suffix("").as_posix()] = path
    imported: dict[str, Imported] = {}
    for listed in sorted((root / "ImageSets" / "Segmentation").glob("*.txt")):
        if "_" in listed.name:  # read as the list of a class
            continue
        for name in _listed(listed):
            imported[name.replace("\\", "/")] = Imported(images.get(name), _objects(root, name, labels))
    return imported


def _listed(path: Path) -> list[str]:
    with path.open(encoding="utf-8") as file:
        lines = [line.strip() for line in file]
    return list(dict.fromkeys(line for line in lines if line and not line.startswith("#")))


def _labelmap(path: Path) -> dict[tuple[int, ...], str]:
    with path.open(encoding="utf-8") as file:
        lines = [line.strip() for line in file]
    colours: dict[tuple[int, ...], str] = {}
    for line in lines:
        if line and not line.startswith("#"):
            fields = line.split(":")
            if len(fields) != 4 or fields[0] in colours.values():
                raise TargetRefuses(f"label map: {line}")
            colours[tuple(int(part) for part in fields[1].split(","))] = fields[0]
    return colours


def _objects(root: Path, name: str, labels: dict[tuple[int, ...], str]) -> list[tuple[str, NDArray[np.bool_]]]:
    of_class, of_object = (root / kind / f"{name}.png" for kind in ("SegmentationClass", "SegmentationObject"))
    if not of_class.is_file():
        return []
    names = list(labels.values())
    classes = _indices(of_class, {colour: index for index, colour in enumerate(labels)})
    if not of_object.is_file():
        return [(names[index], classes == index) for index in np.unique(classes)]
    numbers = _indices(of_object, {_voc_colour(number): number for number in range(256)})
    pairs = {(int(index), int(number)) for index, number in np.stack([classes.ravel(), numbers.ravel()], 1)}
    return [(names[index], (classes == index) & (numbers == number)) for index, number in sorted(pairs) if number]


def _indices(path: Path, colours: dict[tuple[int, ...], int]) -> NDArray[np.int64]:
    """Return a picture as the indices of its colours."""
    picture = np.array(Image.open(path).convert("RGB"))
    result = np.full(picture.shape[:2], -1, np.int64)
    for colour in map(tuple, np.unique(picture.reshape(-1, 3), axis=0).tolist()):
        if colour not in colours:
            raise TargetRefuses(f"{path.name}: Undeclared color {colour}")
        result[(picture == colour).all(2)] = colours[colour]
    return result


def _voc_colour(number: int) -> tuple[int, ...]:
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= (number >> (3 * bit + channel) & 1) << (7 - bit)
    return tuple(channels)


def read_by_datumaro(root: Path) -> dict[str, Imported]:
    """Return the result of datumaro itself."""
    from datumaro.components.annotation import AnnotationType
    from datumaro.components.dataset import Dataset

    data: Any = Dataset.import_from(str(root), "voc_segmentation")
    labels = [label.name for label in data.categories()[AnnotationType.label].items]
    result = {}
    for item in data:
        image = Path(item.media.path) if item.media is not None else None
        objects = [
            (labels[annotation.label], np.asarray(annotation.image, bool))
            for annotation in item.annotations
            if annotation.group != 0
        ]
        result[str(item.id)] = Imported(image, objects)
    return result


def served_by_label_studio(url: str, root: Path) -> Path:
    """Return the file that Label Studio serves for the URL of a local file, with the document root ``root``."""
    parts = urlsplit(url)
    assert parts.path == "/data/local-files/" and not parts.fragment
    [path] = parse_qs(parts.query, strict_parsing=True)["d"]
    return root / posixpath.normpath(path).lstrip("/")
