"""Counts of a threshold sweep per image: sufficient for its curve over any subset of the images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput
from wsss.io.rasters.arrays import read_arrays, write_arrays
from wsss.io.sparse_counts import SparseCounts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

SWEEP_COUNTS = "sweep.npz"

_NAMES = ("classes", "levels", "images", "offsets", "cells", "pixels")


@dataclass(frozen=True)
class SweepCounts:
    """The counts of N images at L thresholds.

    Args:
        classes: the C class names, background first.
        levels: the thresholds, ascending.
        images: the N ids.
        counts: of each image, ``(L, 3, C)`` as from `wsss.metrics.threshold_curve.level_counts`.
    """

    classes: tuple[str, ...]
    levels: tuple[float, ...]
    images: tuple[str, ...]
    counts: SparseCounts


def write_sweep_counts(path: Path, sweep: SweepCounts) -> None:
    """Write the counts of a sweep as ``.npz``, atomically: the non-zero cells, see `SparseCounts`."""
    counts = sweep.counts
    arrays = (
        np.asarray(sweep.classes, np.str_),
        np.asarray(sweep.levels, np.float64),
        np.asarray(sweep.images, np.str_),
        *(counts.offsets, counts.cells, counts.pixels),
    )
    write_arrays(path, dict(zip(_NAMES, arrays, strict=True)), compress=True)


def read_sweep_counts(path: Path) -> SweepCounts:
    """Read a file written by `write_sweep_counts`.

    Raises:
        InvalidInput: the file is missing or broken, or does not contain the counts of a sweep.
    """
    arrays = read_arrays(path)
    missing = set(_NAMES) - arrays.keys()
    if missing:
        raise InvalidInput(
            f"not the counts of a sweep (missing arrays: {', '.join(sorted(missing))})",
            subject=path,
            hint="Re-run the sweep; earlier versions wrote other arrays.",
        )
    names, levels, images = (arrays[key] for key in _NAMES[:3])
    if any(arrays[key].ndim != 1 for key in _NAMES):
        raise InvalidInput("not the counts of a sweep (arrays of several dimensions)", subject=path)
    shape = (len(levels), 3, len(names))
    ascending = levels.dtype.kind == "f" and bool(np.isfinite(levels).all() and (np.diff(levels) > 0).all())
    if not ascending or not _are_counts(arrays, len(images), math.prod(shape)):
        raise InvalidInput(
            subject=path,
            allowed="ascending thresholds, and non-negative integer counts for each image",
            hint="Re-run the sweep.",
        )
    counts = SparseCounts(shape, *(arrays[key] for key in _NAMES[3:]))
    return SweepCounts(tuple(map(str, names)), tuple(float(level) for level in levels), tuple(map(str, images)), counts)


def _are_counts(arrays: Mapping[str, NDArray[Any]], images: int, size: int) -> bool:
    """Return whether arrays are the `SparseCounts` of images with ``size`` cells each."""
    offsets, cells, pixels = (arrays[key] for key in _NAMES[3:])
    kinds = ((offsets, ("int64",)), (cells, ("int32", "int64")), (pixels, ("uint32", "int64")))
    if any(part.dtype.name not in allowed or int(part.min(initial=0)) < 0 for part, allowed in kinds):
        return False
    one_each = len(offsets) == images + 1 and len(cells) == len(pixels) == int(offsets[-1]) and int(offsets[0]) == 0
    return one_each and bool((offsets[1:] >= offsets[:-1]).all()) and int(cells.max(initial=-1)) < size
