"""Labels at full size from label probabilities at a smaller size, along the edges of the full-size image.

In a window around every pixel, the probabilities of each label are fitted by a linear function of the colours of the
downscaled image (guided filter: He, Sun & Tang, TPAMI 2013); its coefficients are upsampled and applied to the
full-size image (fast guided filter: He & Sun, arXiv 1505.00996). On VOC photographs downscaled to a sixth, it labels
0.9 percentage points more pixels near borders correctly than bilinear upsampling (docs/pipelines.md, "Large
photographs").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.io.rasters.working_size import bilinear_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

RADIUS = 2
"""The window has 2·RADIUS + 1 pixels per side at the smaller size."""

EPSILON = 1e-4
"""Regularisation of the fit, for colours in [0, 1]: windows with a smaller variance count as flat."""

BAND = 256
"""Number of rows of the full-size image processed at a time, which limits memory."""


def upsample_labels(image: NDArray[np.uint8], small: NDArray[np.uint8], marginals: Floats) -> NDArray[np.uint8]:
    """Return the most probable label of every pixel of an image.

    Needs about 6 bytes per pixel of the image and 60 per pixel of the smaller one, in addition to its arguments.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        small: ``(h, w, 3)`` uint8, the downscaled image.
        marginals: ``(C, h, w)`` float32 label probabilities, C ≤ 256.

    Returns:
        ``(H, W)`` uint8 indices 0 … C − 1; the first of equally probable labels.
    """
    guide = _Guide(small)
    best = np.full(image.shape[:2], -np.inf, np.float32)
    labels = np.zeros(image.shape[:2], np.uint8)
    for index, probability in enumerate(marginals):
        coefficients = guide.fit(probability)
        for top in range(0, image.shape[0], BAND):
            rows = slice(top, min(top + BAND, image.shape[0]))
            value = _apply(coefficients, image, rows)
            better = value > best[rows]
            labels[rows][better] = index
            np.maximum(best[rows], value, out=best[rows])
    return labels


class _Guide:
    """Local statistics of a downscaled image ``(h, w, 3)`` uint8, for fits by its colours."""

    def __init__(self, small: NDArray[np.uint8]) -> None:
        self.colours = small.astype(np.float32) / 255
        self.mean = _box(self.colours)
        height, width = small.shape[:2]
        covariance = np.empty((height, width, 3, 3), np.float32)
        for i in range(3):
            for j in range(i, 3):
                product = _box(self.colours[..., i] * self.colours[..., j])
                covariance[..., i, j] = covariance[..., j, i] = product - self.mean[..., i] * self.mean[..., j]
        covariance += EPSILON * np.eye(3, dtype=np.float32)
        self.inverse = _inverse(covariance)

    def fit(self, values: Floats) -> Floats:
        """Return coefficients ``(h, w, 4)``: three for the colours and a constant, averaged over the window."""
        mean = _box(values)
        with_colours = np.stack(
            [_box(self.colours[..., i] * values) - self.mean[..., i] * mean for i in range(3)], axis=-1
        )
        factors = np.einsum("hwij,hwj->hwi", self.inverse, with_colours)
        constant = mean - (factors * self.mean).sum(-1)
        return _box(np.concatenate([factors, constant[..., None]], axis=-1))


def _apply(coefficients: Floats, image: NDArray[np.uint8], rows: slice) -> Floats:
    """Return the fitted values ``(rows, W)`` for some rows of the full-size image."""
    enlarged = _enlarge(coefficients, image.shape[:2], rows)
    value = enlarged[..., 3].copy()
    for channel in range(3):
        value += enlarged[..., channel] * (image[rows, :, channel] / np.float32(255))
    return value


def _enlarge(values: Floats, size: tuple[int, ...], rows: slice) -> Floats:
    """Return some rows of ``(h, w, N)`` values, upsampled to ``size`` (bilinear)."""
    import cv2

    above, below, weight = bilinear_rows(values.shape[0], size[0], rows)
    weight = weight[:, None, None]
    mixed = values[above] * (1 - weight) + values[below] * weight
    return np.asarray(cv2.resize(mixed, (size[1], len(mixed)), interpolation=cv2.INTER_LINEAR), np.float32)


def _box(values: NDArray[Any]) -> Floats:
    import cv2

    side = 2 * RADIUS + 1
    return np.asarray(cv2.blur(values, (side, side)), np.float32)


def _inverse(matrices: Floats) -> Floats:
    """Return the inverses of symmetric 3×3 matrices ``(…, 3, 3)``: adjugate / determinant."""
    a, b, c = matrices[..., 0, 0], matrices[..., 0, 1], matrices[..., 0, 2]
    d, e, f = matrices[..., 1, 1], matrices[..., 1, 2], matrices[..., 2, 2]
    adjugate = np.stack(
        [d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b], axis=-1
    ).astype(np.float64)
    determinant = a * adjugate[..., 0] + b * adjugate[..., 1] + c * adjugate[..., 2]
    parts = (adjugate / determinant[..., None]).astype(np.float32)
    return np.asarray(parts[..., [[0, 1, 2], [1, 3, 4], [2, 4, 5]]])
