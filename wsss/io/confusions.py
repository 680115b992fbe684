"""Confusion counts per image, as JSON: sufficient for any overlap score over any subset of the images."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput, unreadable
from wsss.io.files.atomic import write_pieces
from wsss.io.files.json_files import read_json
from wsss.io.files.recorded import check_recorded
from wsss.io.sparse_counts import SparseCounts

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONFUSIONS = "confusions.json"
FORMAT = 1


@dataclass(frozen=True)
class Confusions:
    """The confusion matrices of some images.

    Args:
        classes: the C class names, background first.
        images: image id → cells of its matrix, see `cells_of`: few of its C × (C + 1) cells are not zero.
    """

    classes: tuple[str, ...]
    images: Mapping[str, NDArray[np.int64]]

    def counts(self) -> SparseCounts:
        """Return all matrices, each ``(C, C + 1)``, in the order of `images`."""
        shape = (len(self.classes), len(self.classes) + 1)
        cells = np.concatenate([np.empty((0, 3), np.int64), *self.images.values()])
        offsets = np.cumsum([0, *map(len, self.images.values())], dtype=np.int64)
        return SparseCounts(shape, offsets, cells[:, 0] * shape[1] + cells[:, 1], cells[:, 2])


def cells_of(confusion: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the non-zero cells of a confusion matrix in row-major order.

    Args:
        confusion: ``(C, C + 1)`` pixel counts: true class × predicted class, last column uncertain.

    Returns:
        ``(K, 3)`` true class, column, pixels.
    """
    cells = np.nonzero(confusion)
    return np.stack([*cells, confusion[cells]], axis=1).astype(np.int64)


def add_cells(total: NDArray[np.int64], cells: NDArray[np.int64]) -> None:
    """Add the cells of one image to ``total``, ``(C, C + 1)``."""
    total[cells[:, 0], cells[:, 1]] += cells[:, 2]


def write_confusions(path: Path, classes: Sequence[str], images: Iterable[tuple[str, NDArray[np.int64]]]) -> None:
    """Write confusion counts atomically, one image per line, as non-zero cells ``[true, predicted, pixels]``.

    Args:
        classes: the C class names, background first.
        images: id and cells of each image, see `cells_of`.
    """
    head = {"format": FORMAT, "classes": list(classes), "cells": ["true", "predicted", "pixels"]}
    start = ",\n ".join(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items())
    write_pieces(path, chain(["{" + start + ',\n "images": {\n'], _lines(images), ["\n }}\n"]))


def _lines(images: Iterable[tuple[str, NDArray[np.int64]]]) -> Iterator[str]:
    before = ""
    for image_id, cells in images:
        counts = json.dumps(cells.tolist(), separators=(",", ":"))
        yield f"{before}  {json.dumps(image_id, ensure_ascii=False)}: {counts}"
        before = ",\n"


def read_confusions(path: Path) -> Confusions:
    """Read a file written by `write_confusions`.

    Raises:
        InvalidInput: the file is missing, or does not contain confusion counts.
    """
    check_recorded(path)
    try:
        value = read_json(path)
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise InvalidInput(f"not a JSON file ({error})", subject=path) from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise InvalidInput("not a file of confusion counts that this version can read", subject=path)
    try:
        classes = tuple(str(name) for name in value["classes"])
        images = {str(name): _cells(cells, len(classes)) for name, cells in value["images"].items()}
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise InvalidInput(f"not a file of confusion counts ({type(error).__name__}: {error})", subject=path) from error
    return Confusions(classes, images)


def _cells(cells: Any, classes: int) -> NDArray[np.int64]:
    for true, column, pixels in cells:
        cell = [true, column, pixels]
        if not all(isinstance(number, int) and number >= 0 for number in cell):
            raise ValueError(f"expected non-negative integers, got {cell}")
        if true >= classes or column > classes:
            raise ValueError(f"expected a cell of {classes} × {classes + 1}, got {cell}")
    return np.asarray(cells, np.int64).reshape(len(cells), 3)
