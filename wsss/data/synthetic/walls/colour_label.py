"""Pseudo labels: mortar segmented by colour, with the typical errors of such methods.

A linear discriminant separates the colours under pen strokes from those elsewhere, after most of the uneven lighting is
removed. Its values are thresholded by Otsu's method (1979), with a lower threshold under the strokes. Light bricks,
stains and smears become patches of mortar, and joints with the colour of the bricks are lost; small specks and holes
are removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wsss.data.synthetic.drawing import without_pinholes, without_specks

if TYPE_CHECKING:
    from numpy.typing import NDArray

LENIENT = 0.25
"""Threshold under the strokes: position between the mean values of bricks (0) and mortar (1)."""


def colour_label(image: NDArray[np.uint8], drawn: NDArray[np.bool_], *, joint: float) -> NDArray[np.bool_]:
    """Return a pseudo label of the mortar, ``(S, S)`` bool.

    Args:
        image: ``(S, S, 3)`` uint8.
        drawn: ``(S, S)``; pen strokes along the joints.
        joint: width of the joints in pixels.
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    colours = image.astype(float)
    light = ndimage.gaussian_filter(colours, (6 * joint, 6 * joint, 0))
    colours = ndimage.gaussian_filter(colours, (0.18 * joint, 0.18 * joint, 0)) - 0.7 * light
    far = ~ndimage.binary_dilation(drawn, iterations=max(1, round(joint)))
    if not (drawn.any() and far.any()):
        return np.zeros_like(drawn)
    inside, outside = colours[drawn], colours[far]
    scatter = np.cov(inside.T) + np.cov(outside.T) + np.eye(3)
    values = colours @ np.linalg.solve(scatter, inside.mean(axis=0) - outside.mean(axis=0))
    mask = values > float(threshold_otsu(values))  # type: ignore[no-untyped-call]
    mask = ndimage.median_filter(mask, size=1 + 2 * max(1, round(joint / 5)))
    low, high = values[far].mean(), values[drawn].mean()
    mask |= drawn & (values > low + LENIENT * (high - low))
    smallest = round(3 * joint * joint)
    return without_pinholes(without_specks(mask, smallest), smallest)
