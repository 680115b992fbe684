"""Time of the exact distance transform of `wsss.topology.distance` beside SciPy's and OpenCV's, on masks of walls.

    python benchmarks/distances.py

Prints milliseconds per mask (median of 15) and whether the squared distances are the exact integers.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from wsss.topology.distance import squared_distances

Mask = NDArray[np.bool_]


def scipys(mask: Mask) -> NDArray[np.int64]:
    """Squared distances from the nearest background pixels that SciPy returns."""
    nearest = distance_transform_edt(mask, return_distances=False, return_indices=True)
    return ((nearest - np.indices(mask.shape)) ** 2).sum(0)


def opencvs(mask: Mask) -> NDArray[np.int64]:
    """Squared float32 distances of OpenCV, rounded."""
    distances = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.rint(distances.astype(np.float64) ** 2).astype(np.int64)


METHODS: dict[str, Callable[[Mask], NDArray[np.integer]]] = {
    "wsss": squared_distances,
    "SciPy": scipys,
    "OpenCV": opencvs,
}


def milliseconds(compute: Callable[[Mask], object], mask: Mask, repeats: int = 15) -> float:
    """Return the median time of a call."""
    compute(mask)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        compute(mask)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def main() -> None:
    """Print the table."""
    print(f"{'side':>6} {'mask':>12} " + " ".join(f"{name:>16}" for name in METHODS))
    for side in (128, 512, 2048):
        noise = gaussian_filter(np.random.default_rng(0).standard_normal((side, side)), 4)
        single = np.ones((side, side), bool)
        single[0, 0] = False
        for kind, mask in (("blobs", noise > 0), ("one pixel", single)):
            exact = scipys(mask)
            cells = [
                f"{milliseconds(compute, mask):10.2f} {'exact' if np.array_equal(compute(mask), exact) else 'wrong'}"
                for compute in METHODS.values()
            ]
            print(f"{side:>6} {kind:>12} " + " ".join(f"{cell:>16}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
