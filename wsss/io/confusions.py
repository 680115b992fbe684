"""Confusion counts per image, as JSON: sufficient for any overlap score over any subset of the images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput, unreadable
from wsss.io.files.atomic import write_text
from wsss.io.files.recorded import check_recorded
from wsss.io.text.json_files import read_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONFUSIONS = "confusions.json"
FORMAT = 1


@dataclass(frozen=True)
class Confusions:
    """The confusion matrices of some images.

    Args:
        classes: the C class names, background first.
        images: image id → ``(C, C + 1)`` int64 pixel counts: true class × predicted class, last column uncertain.
    """

    classes: tuple[str, ...]
    images: Mapping[str, NDArray[np.int64]]

    def stacked(self) -> NDArray[np.int64]:
        """Return all matrices as ``(N, C, C + 1)``, in the order of `images`."""
        empty = np.zeros((0, len(self.classes), len(self.classes) + 1), np.int64)
        return np.stack(list(self.images.values())) if self.images else empty


def write_confusions(path: Path, confusions: Confusions) -> None:
    """Write confusion counts atomically, one image per line, as non-zero cells ``[true, predicted, pixels]``."""
    lines = []
    for image_id, counts in confusions.images.items():
        cells = [[int(true), int(column), int(counts[true, column])] for true, column in np.argwhere(counts)]
        lines.append(f"  {json.dumps(image_id, ensure_ascii=False)}: {json.dumps(cells, separators=(',', ':'))}")
    head = {"format": FORMAT, "classes": list(confusions.classes), "cells": ["true", "predicted", "pixels"]}
    start = ",\n ".join(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items())
    write_text(path, "{" + start + ',\n "images": {\n' + ",\n".join(lines) + "\n }}\n")


def read_confusions(path: Path) -> Confusions:
    """Read a file written by `write_confusions`.

    Raises:
        InvalidInput: the file is missing, or not such a file.
    """
    check_recorded(path)
    try:
        value = read_json(path)
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise InvalidInput(f"not a JSON file ({error})", subject=path) from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise InvalidInput("not a confusion counts file that this version can read", subject=path)
    try:
        classes = tuple(str(name) for name in value["classes"])
        images = {str(name): _matrix(cells, len(classes)) for name, cells in value["images"].items()}
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise InvalidInput(f"not a file of confusion counts ({type(error).__name__}: {error})", subject=path) from error
    return Confusions(classes, images)


def _matrix(cells: Any, classes: int) -> NDArray[np.int64]:
    matrix = np.zeros((classes, classes + 1), np.int64)
    for true, column, pixels in cells:
        cell = [true, column, pixels]
        if not all(isinstance(number, int) and number >= 0 for number in cell):
            raise ValueError(f"expected non-negative integers, got {cell}")
        matrix[true, column] = pixels
    return matrix
