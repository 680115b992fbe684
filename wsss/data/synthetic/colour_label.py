"""Pseudo labels: mortar found by its colour, with the errors that such a method makes.

A linear discriminant is fitted to the colours under a few pen strokes against those elsewhere, and thresholded
(Otsu 1979). Light bricks, stains and smears become mortar in patches, dark joints get lost, and small specks and holes
are cleared away, which is what one would do with such masks before training on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wsss.data.synthetic.drawing import without_pinholes, without_specks

if TYPE_CHECKING:
    from numpy.typing import NDArray


def colour_label(image: NDArray[np.uint8], drawn: NDArray[np.bool_], *, joint: float) -> NDArray[np.bool_]:
    """Return where mortar seems to be, ``(S, S)``.

    Args:
        image: ``(S, S, 3)`` uint8.
        drawn: ``(S, S)``; pen strokes along the joints.
        joint: width of the joints in pixels.
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    colours = ndimage.gaussian_filter(image.astype(float), (0.18 * joint, 0.18 * joint, 0))
    far = ~ndimage.binary_dilation(drawn, iterations=max(1, round(joint)))
    if not (drawn.any() and far.any()):
        return np.zeros_like(drawn)
    inside, outside = colours[drawn], colours[far]
    scatter = np.cov(inside.T) + np.cov(outside.T) + np.eye(3)
    values = colours @ np.linalg.solve(scatter, inside.mean(axis=0) - outside.mean(axis=0))
    mask = values > float(threshold_otsu(values))  # type: ignore[no-untyped-call]
    mask = ndimage.median_filter(mask, size=1 + 2 * max(1, round(joint / 5)))
    smallest = round(4 * joint * joint)
    return without_pinholes(without_specks(mask, smallest), smallest)
