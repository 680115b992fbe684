"""The eight orientations of EXIF and TIFF."""

from __future__ import annotations

from typing import Any

import numpy as np


def stored(upright: np.ndarray[Any, Any], orientation: int) -> np.ndarray[Any, Any]:
    """Return the pixels ``(H, W, …)`` that a file with an orientation (1 to 8) stores of an upright image.

    From the table of tag 274 (0x0112) in the EXIF standard: stored = operation(upright).
    """
    pixels = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }
    return np.ascontiguousarray(pixels[orientation])
