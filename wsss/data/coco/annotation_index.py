"""Index of a COCO file: its categories and images, and where in the file the annotations of each image are.

The 605,000 annotations of COCO 2014's training images take 448 MB as text and gigabytes as Python objects; their index
takes 9 MB. The outlines stay in the file, and are read image by image (`wsss.data.coco.instance_mask`).
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput, Verbatim, counted
from wsss.io.files.json_stream import Element, stream_lists
from wsss.io.rasters.label_masks import IGNORE
from wsss.io.rasters.rgb_images import MAX_PIXELS
from wsss.io.utf8 import is_utf8

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEYS = ("images", "annotations", "categories")

ANNOTATION = np.dtype([("at", "<i8"), ("length", "<i4"), ("number", "u1"), ("crowd", "u1"), ("outlined", "u1")])
"""Offset and length of an annotation in the file (bytes), number of its class (from 1), whether it is a crowd, and
whether it has an outline."""


@dataclass(frozen=True)
class AnnotationIndex:
    """Index of a COCO file.

    Args:
        categories: id → name, in the order of the ids; the n-th (from 1) is the class number n.
        files: file name of each of the N images.
        ids: ``(N,)`` int64 ids of the images.
        sizes: ``(N, 2)`` int32 heights and widths.
        starts: ``(N + 1,)`` int64; image i has the annotations ``starts[i]`` to ``starts[i + 1]``.
        annotations: ``(M,)`` of `ANNOTATION`, grouped by image, in the order of the file within each image.
    """

    categories: dict[int, str]
    files: tuple[str, ...]
    ids: NDArray[np.int64]
    sizes: NDArray[np.int32]
    starts: NDArray[np.int64]
    annotations: NDArray[np.void]


def build_index(path: Path) -> AnnotationIndex:
    """Read a COCO file once, with bounded memory, and return its index.

    Raises:
        InvalidInput: not valid JSON, a missing key, a value of a wrong type, a duplicate id, or an annotation of an
            unknown image or category; names file, key and index.
    """
    collected = _Collected(path)
    add = {"images": collected.image, "annotations": collected.annotation, "categories": collected.category}
    for key, index, element in stream_lists(path, KEYS):
        where = f"{path}: {key}[{index}]"
        if not isinstance(element.value, dict):
            raise InvalidInput(subject=where, found=Verbatim("another value"), allowed="an object")
        add[key](element, where)
    return collected.index()


class _Collected:
    """The parts of a file; references are resolved at its end, since categories may follow annotations."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.categories: dict[int, str] = {}
        self.names: set[str] = set()
        self.images: dict[int, tuple[str, int, int]] = {}
        self.image_ids, self.category_ids, self.places = array("q"), array("q"), array("q")
        self.lengths, self.crowds, self.outlined = array("l"), bytearray(), bytearray()

    def category(self, element: Element, where: str) -> None:
        identity, name = _integer(element.value, "id", where), _text(element.value, "name", where).strip()
        _require_new(identity, self.categories, where)
        if not is_utf8(name) or any(ord(character) < 32 for character in name):
            raise InvalidInput(subject=f"{where}.name", found=name, allowed="UTF-8 without control characters")
        if name in self.names:
            raise InvalidInput(f"duplicate category {name!r}", subject=f"{where}.name")
        self.names.add(name)
        self.categories[identity] = name

    def image(self, element: Element, where: str) -> None:
        identity, file = _integer(element.value, "id", where), _text(element.value, "file_name", where)
        _require_new(identity, self.images, where)
        height, width = (_integer(element.value, key, where) for key in ("height", "width"))
        if min(height, width) < 1 or height * width > MAX_PIXELS:
            allowed = f"at least 1 pixel and at most {MAX_PIXELS:,}"
            raise InvalidInput(subject=where, found=Verbatim(f"{width}×{height}"), allowed=allowed)
        self.images[identity] = file, height, width

    def annotation(self, element: Element, where: str) -> None:
        value, at, length = element
        self.image_ids.append(_integer(value, "image_id", where))
        self.category_ids.append(_integer(value, "category_id", where))
        self.places.append(at)
        self.lengths.append(length)
        self.crowds.append(_is_crowd(value, where))
        self.outlined.append(_has_outline(value, where))

    def index(self) -> AnnotationIndex:
        if not 1 <= len(self.categories) < IGNORE:
            raise InvalidInput(
                subject=f"{self.path}: categories", allowed=f"1 to {IGNORE - 1} categories", found=len(self.categories)
            )
        if not self.images:
            raise InvalidInput("no images", subject=f"{self.path}: images")
        ids = np.array(list(self.images), np.int64)
        owner = self._positions(ids, self.image_ids, "image_id", "image")
        ordered = np.array(sorted(self.categories), np.int64)
        found = np.zeros(len(owner), ANNOTATION)
        found["number"] = self._positions(ordered, self.category_ids, "category_id", "category") + 1
        found["at"], found["length"] = self.places, self.lengths
        found["crowd"], found["outlined"] = list(self.crowds), list(self.outlined)
        grouped = np.argsort(owner, kind="stable")
        return AnnotationIndex(
            categories={int(number): self.categories[int(number)] for number in ordered},
            files=tuple(file for file, _, _ in self.images.values()),
            ids=ids,
            sizes=np.array([size for _, *size in self.images.values()], np.int32).reshape(-1, 2),
            starts=np.searchsorted(owner[grouped], np.arange(len(ids) + 1)).astype(np.int64),
            annotations=found[grouped],
        )

    def _positions(self, known: NDArray[np.int64], used: array[int], key: str, what: str) -> NDArray[np.int64]:
        """Return the position of each id of the annotations in ``known``.

        Raises:
            InvalidInput: an unknown id.
        """
        wanted = np.frombuffer(used, np.int64) if used else np.empty(0, np.int64)
        order = np.argsort(known)
        at = np.searchsorted(known[order], wanted).clip(max=len(known) - 1)
        positions: NDArray[np.int64] = order[at]
        unknown = np.flatnonzero(known[positions] != wanted)
        if unknown.size:
            first = int(unknown[0])
            count = f"{counted(len(unknown), 'annotation')} of {len(wanted)}"
            raise InvalidInput(
                f"unknown {what} {int(wanted[first])}; {count} refer to one that is not in the file",
                subject=f"{self.path}: annotations[{first}].{key}",
                hint="When creating a subset of a dataset, filter images, annotations and categories consistently.",
            )
        return positions


def _member(value: dict[str, Any], key: str, where: str) -> Any:
    if key not in value:
        raise InvalidInput("missing key", subject=f"{where}.{key}")
    return value[key]


def _integer(value: dict[str, Any], key: str, where: str) -> int:
    number = _member(value, key, where)
    if isinstance(number, bool) or not isinstance(number, int) or not -(2**63) <= number < 2**63:
        raise InvalidInput(subject=f"{where}.{key}", found=number, allowed="a 64-bit integer")
    return number


def _text(value: dict[str, Any], key: str, where: str) -> str:
    text = _member(value, key, where)
    if not isinstance(text, str) or not text.strip():
        raise InvalidInput(subject=f"{where}.{key}", found=text, allowed="a name")
    return text


def _require_new(identity: int, known: dict[int, Any], where: str) -> None:
    if identity in known:
        raise InvalidInput(f"duplicate id {identity}", subject=f"{where}.id")


def _is_crowd(value: dict[str, Any], where: str) -> bool:
    crowd = value.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise InvalidInput(subject=f"{where}.iscrowd", found=crowd, allowed="0 or 1")
    return bool(crowd)


def _has_outline(value: dict[str, Any], where: str) -> bool:
    """Return whether an annotation has an outline; detection datasets have empty ones or none."""
    outline = value.get("segmentation")
    if outline is not None and not isinstance(outline, list | dict):
        raise InvalidInput(subject=f"{where}.segmentation", found=outline, allowed="a list of polygons, or an object")
    return bool(outline)
