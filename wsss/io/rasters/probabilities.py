"""Files of class probabilities: one ``.npz`` per image, float16, at the image size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput, Verbatim
from wsss.io.rasters.arrays import read_arrays, require_range, write_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUM_TOLERANCE = 0.01
"""Tolerance of the sum of a pixel's probabilities: several times the rounding error of half precision."""

ROWS = 256
"""Rows summed at a time, to save memory."""

HINT = "Predict the images again with save_probabilities, using a network for the dataset's classes."


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
    """Read and validate class probabilities ``(C, H, W)`` float16 in [0, 1], which sum to 1 up to rounding.

    Args:
        path: an ``.npz`` with an array ``probabilities``.
        classes: expected C.
        size: expected (H, W).

    Raises:
        InvalidInput: the file is missing or broken, or the array has the wrong shape or order of classes, or contains
            no probabilities.
    """
    arrays = read_arrays(path)
    probabilities = arrays.get("probabilities")
    if probabilities is None:
        raise InvalidInput("missing array 'probabilities'", subject=path, hint=HINT)
    expected = (classes or probabilities.shape[0] if probabilities.ndim else 0, *(size or probabilities.shape[1:]))
    if probabilities.ndim != 3 or probabilities.dtype.kind != "f" or probabilities.shape != expected:
        raise InvalidInput(
            subject=f"{path}: probabilities",
            allowed=f"floats of shape (classes, height, width) = {expected}",
            found=Verbatim(f"{probabilities.dtype} {probabilities.shape}"),
            hint=HINT,
        )
    named = arrays.get("classes", np.arange(len(probabilities)))
    if not np.array_equal(named, np.arange(len(probabilities))):
        allowed = f"0 to {len(probabilities) - 1} in ascending order"
        raise InvalidInput(subject=f"{path}: classes", allowed=allowed, found=named.tolist(), hint=HINT)
    stated = arrays.get("size", np.asarray(probabilities.shape[1:]))
    if stated.tolist() != list(probabilities.shape[1:]):
        allowed = f"the size of the probabilities, {list(probabilities.shape[1:])}"
        raise InvalidInput(subject=f"{path}: size", allowed=allowed, found=stated.tolist(), hint=HINT)
    require_range(probabilities, path, "probabilities", hint=HINT)
    _require_sums(probabilities, path)
    return probabilities.astype(np.float16, copy=False)


def _require_sums(probabilities: NDArray[np.floating], path: Path) -> None:
    for top in range(0, probabilities.shape[1], ROWS):
        sums = probabilities[:, top : top + ROWS].sum(0, dtype=np.float32)
        invalid = np.argwhere(~(np.abs(sums - 1) <= SUM_TOLERANCE))
        if len(invalid):
            row, column = invalid[0]
            raise InvalidInput(
                "not class probabilities",
                subject=f"{path}: row {top + row}, column {column}",
                allowed="a sum of 1",
                found=Verbatim(f"{float(sums[row, column]):.4g}"),
                hint=HINT,
            )
