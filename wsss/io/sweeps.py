"""Counts of a threshold sweep per image: sufficient for its curve over any subset of the images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsss.errors import InvalidInput
from wsss.io.rasters.arrays import read_arrays, write_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

SWEEP_COUNTS = "sweep.npz"


@dataclass(frozen=True)
class SweepCounts:
    """The counts of N images at L thresholds.

    Args:
        classes: the C class names, background first.
        levels: the thresholds, ascending.
        images: the N ids.
        counts: ``(N, L, 3, C)`` int64 as from `wsss.metrics.threshold_curve.level_counts`.
    """

    classes: tuple[str, ...]
    levels: tuple[float, ...]
    images: tuple[str, ...]
    counts: NDArray[np.int64]


def write_sweep_counts(path: Path, sweep: SweepCounts) -> None:
    """Write the counts of a sweep as ``.npz``, atomically."""
    write_arrays(
        path,
        {
            "classes": np.asarray(sweep.classes, np.str_),
            "levels": np.asarray(sweep.levels, np.float64),
            "images": np.asarray(sweep.images, np.str_),
            "counts": sweep.counts,
        },
        compress=True,
    )


def read_sweep_counts(path: Path) -> SweepCounts:
    """Read a file written by `write_sweep_counts`.

    Raises:
        InvalidInput: the file is missing or broken, or does not contain the counts of a sweep.
    """
    arrays = read_arrays(path)
    missing = {"classes", "levels", "images", "counts"} - arrays.keys()
    if missing:
        raise InvalidInput(f"not the counts of a sweep (missing arrays: {', '.join(sorted(missing))})", subject=path)
    names, levels, images, counts = (arrays[key] for key in ("classes", "levels", "images", "counts"))
    one_axis = names.ndim == levels.ndim == images.ndim == 1
    if not one_axis or counts.shape != (len(images), len(levels), 3, len(names)):
        raise InvalidInput(f"not the counts of a sweep (counts of shape {counts.shape})", subject=path)
    ascending = levels.dtype.kind == "f" and bool((np.diff(levels) > 0).all())  # false for NaN
    if not ascending or counts.dtype.kind not in "iu" or int(counts.min(initial=0)) < 0:
        raise InvalidInput(
            subject=path, allowed="ascending levels and non-negative integer counts", hint="Re-run the sweep."
        )
    return SweepCounts(tuple(map(str, names)), tuple(float(level) for level in levels), tuple(map(str, images)), counts)
