"""Class probabilities on disk: one ``.npz`` per image, float16, at the image's size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput
from wsss.io.rasters.arrays import read_arrays, require_range, write_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUM_TOLERANCE = 0.01
"""How far the sum of a pixel's probabilities may be from 1: several times what half precision rounds away."""

ROWS = 256
"""Rows that are added up at a time: what bounds the memory."""

HINT = "Predict the images again with save_probabilities, by a network of the dataset's classes."


def write_probabilities(path: Path, probabilities: NDArray[np.float16]) -> None:
    """Write an image's class probabilities ``(C, H, W)``, atomically."""
    arrays: dict[str, NDArray[Any]] = {
        "probabilities": probabilities,
        "classes": np.arange(len(probabilities)),
        "size": np.asarray(probabilities.shape[1:], np.int64),
    }
    write_arrays(path, arrays)


def read_probabilities(
    path: Path, *, classes: int | None = None, size: tuple[int, ...] | None = None
) -> NDArray[np.float16]:
    """Read and validate class probabilities ``(C, H, W)`` float16 in [0, 1], their sum 1 but for rounding.

    Args:
        path: an ``.npz`` with an array ``probabilities``.
        classes: C that it must have.
        size: (H, W) that it must have.

    Raises:
        InvalidInput: missing, broken, of another shape, of other classes, or no probabilities.
    """
    arrays = read_arrays(path)
    found = arrays.get("probabilities")
    if found is None:
        raise InvalidInput(f"{path}: holds no array 'probabilities'.", hint=HINT)
    expected = (classes or found.shape[0] if found.ndim else 0, *(size or found.shape[1:]))
    if found.ndim != 3 or found.dtype.kind != "f" or found.shape != expected:
        wanted = f"floats of shape (classes, height, width) = ({expected[0]}, {', '.join(map(str, expected[1:]))})"
        raise InvalidInput(f"{path}: probabilities: expected {wanted}, got {found.dtype} {found.shape}.", hint=HINT)
    named = arrays.get("classes", np.arange(len(found)))
    if not np.array_equal(named, np.arange(len(found))):
        raise InvalidInput(
            f"{path}: classes: expected 0 to {len(found) - 1} in this order, got {named.tolist()}.", hint=HINT
        )
    stated = arrays.get("size", np.asarray(found.shape[1:]))
    if stated.tolist() != list(found.shape[1:]):
        raise InvalidInput(
            f"{path}: size: expected that of the probabilities, {list(found.shape[1:])}, got {stated.tolist()}.",
            hint=HINT,
        )
    require_range(found, path, "probabilities", hint=HINT)
    _require_sums(found, path)
    return found.astype(np.float16, copy=False)


def _require_sums(probabilities: NDArray[np.floating], path: Path) -> None:
    for top in range(0, probabilities.shape[1], ROWS):
        sums = probabilities[:, top : top + ROWS].sum(0, dtype=np.float32)
        wrong = np.argwhere(~(np.abs(sums - 1) <= SUM_TOLERANCE))
        if len(wrong):
            row, column = wrong[0]
            raise InvalidInput(
                f"{path}: these are no class probabilities: expected the sum 1 at every pixel, got "
                f"{float(sums[row, column]):.4g} at row {top + row}, column {column}.",
                hint=HINT,
            )
