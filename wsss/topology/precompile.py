"""Compilation of all kernels before the first use."""

from __future__ import annotations

import time

import numpy as np

from wsss.topology.betti_counts import betti_numbers
from wsss.topology.malis import critical_pixels
from wsss.topology.matching_gradient import loss_gradient
from wsss.topology.persistence import barcode, betti_matching
from wsss.topology.warping import warping_error_mask


def warmup() -> float:
    """Compile all kernels, or load them from the cache, and return the seconds it took.

    The first compilation takes about half a minute; later processes load the machine code in less than a second.

    Example:
        >>> from wsss.topology import warmup
        >>> warmup() > 0
        True
    """
    start = time.perf_counter()
    exact = np.arange(12, dtype=np.float64).reshape(3, 4)
    for image in (exact > 5, exact.astype(np.float32), exact, exact / 3):  # only the last has int64 keys
        barcode(image, frame="own-max")
        loss_gradient(betti_matching(image, image, frame="own-max"))
    betti_numbers(exact > 5)
    critical_pixels(exact, exact)
    warping_error_mask(exact > 5, exact > 3)  # also compiles distances
    return time.perf_counter() - start
