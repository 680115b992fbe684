"""Pseudo labels: mortar found by its colour, with the errors that such a method makes.

A linear discriminant is fitted to the colours under a few pen strokes against those elsewhere (differences of light
over the wall are largely taken out before), and thresholded: by Otsu's method (1979), more leniently under the strokes.
Light bricks, stains and smears become mortar in patches, and joints are lost where they have the bricks' colour; small
specks and holes are cleared away, as one would do with such masks before training on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wsss.data.synthetic.drawing import without_pinholes, without_specks

if TYPE_CHECKING:
    from numpy.typing import NDArray

LENIENT = 0.25
"""Under the strokes this much of the way from the bricks' mean colour to the mortar's is enough."""


def colour_label(image: NDArray[np.uint8], drawn: NDArray[np.bool_], *, joint: float) -> NDArray[np.bool_]:
    """Return where mortar seems to be, ``(S, S)``.

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
