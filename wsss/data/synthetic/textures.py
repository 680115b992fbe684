"""Colours and background textures. All pictures are ``(S, S, 3)`` float64 RGB in [0, 1]; hues are in turns [0, 1)."""

from __future__ import annotations

import colorsys
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.float64]

COOL_HUES = (0.27, 0.78)
"""Hues of backgrounds, from green to violet; objects have the remaining, warm hues."""


def rgb(hue: float, saturation: float, value: float) -> Plane:
    """Return an HSV colour as ``(3,)`` RGB."""
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value))


def cool_colour(rng: np.random.Generator) -> Plane:
    """Draw a background colour: cool, muted, neither black nor white."""
    return rgb(rng.uniform(*COOL_HUES), rng.uniform(0.1, 0.5), rng.uniform(0.3, 0.85))


def pixel_centres(size: int) -> tuple[Plane, Plane]:
    """Return x and y of all pixel centres, each ``(S, S)``, in pixels."""
    y, x = np.mgrid[0:size, 0:size]
    return x + 0.5, y + 0.5


def smooth_noise(rng: np.random.Generator, size: int, cells: int) -> Plane:
    """Return ``(S, S)`` value noise in [0, 1]: a linearly interpolated grid of ``cells`` + 1 knots per side."""
    position = (np.arange(size) + 0.5) / size * cells
    knots = np.arange(cells + 1)
    weights = np.clip(1 - np.abs(position[:, None] - knots[None, :]), 0, 1)
    grid = rng.random((cells + 1, cells + 1))
    return np.asarray(weights @ grid @ weights.T)


def background(rng: np.random.Generator, size: int) -> Plane:
    """Draw a background: clouds, stripes, a gradient or checks of two or three colours, and grain."""
    x, y = pixel_centres(size)
    angle = rng.uniform(0, math.pi)
    along = (x * math.cos(angle) + y * math.sin(angle)) / size
    across = (y * math.cos(angle) - x * math.sin(angle)) / size
    kind = rng.integers(4)
    if kind == 0:
        weight = sum(smooth_noise(rng, size, cells) * share for cells, share in ((3, 0.5), (7, 0.3), (16, 0.2)))
    elif kind == 1:
        weight = 0.5 + 0.5 * np.sin(along * math.tau * rng.uniform(3, 9) + rng.uniform(0, math.tau))
    elif kind == 2:
        weight = (along - along.min()) / np.ptp(along)
    else:
        frequency = rng.uniform(2, 5) * math.tau
        weight = 0.5 + 0.5 * np.tanh(4 * np.sin(along * frequency) * np.sin(across * frequency))
    first, second = cool_colour(rng), cool_colour(rng)
    picture = first + np.asarray(weight)[..., None] * (second - first)
    picture = picture + 0.18 * (smooth_noise(rng, size, 5)[..., None] - 0.5)
    return np.clip(picture + rng.normal(0, 0.02, (size, size, 3)), 0, 1)


def clutter(rng: np.random.Generator, picture: Plane) -> Plane:
    """Add distractors to a background: cool blobs, and thin scribbles in the warm colours of objects."""
    size = picture.shape[0]
    x, y = pixel_centres(size)
    for _ in range(rng.integers(2, 6)):
        centre = rng.uniform(0, size, 2)
        radius = size * rng.uniform(0.03, 0.1)
        power = rng.choice([1.0, 2.0, 6.0])  # diamond, disc, box
        distance = (np.abs(x - centre[0]) ** power + np.abs(y - centre[1]) ** power) ** (1 / power)
        colour = rgb(rng.uniform(*COOL_HUES), rng.uniform(0.3, 0.8), rng.uniform(0.3, 0.9))
        picture = paint(picture, np.clip(radius - distance + 0.5, 0, 1), colour)
    for _ in range(rng.integers(0, 3)):
        angle, offset = rng.uniform(0, math.pi), rng.uniform(0.2, 0.8) * size
        wave = rng.uniform(0, 0.05) * size * np.sin(x / size * rng.uniform(4, 12))
        distance = np.abs((x - offset) * math.sin(angle) - (y - offset) * math.cos(angle) + wave)
        picture = paint(picture, np.clip(size / 120 - distance + 0.5, 0, 1), rgb(rng.uniform(0.05, 0.12), 0.5, 0.6))
    return picture


def paint(picture: Plane, alpha: Plane, colour: Plane) -> Plane:
    """Blend a colour (``(3,)`` or ``(S, S, 3)``) into a picture with opacity ``alpha`` (``(S, S)``, [0, 1])."""
    return np.asarray(picture + alpha[..., None] * (colour - picture))


def blurred_noise(rng: np.random.Generator, size: int, sigma: float) -> Plane:
    """Return ``(S, S)`` Gaussian noise, mean 0, variance 1, with a correlation length of ``sigma`` pixels."""
    from scipy import ndimage

    step = max(1, int(sigma / 3))  # coarse noise is drawn on a coarse grid
    cells = -(-size // step) + 6
    noise = ndimage.gaussian_filter(rng.standard_normal((cells, cells)), sigma / step, mode="wrap")
    if step > 1:
        noise = ndimage.zoom(noise, step, order=1)
    top, left = (noise.shape[0] - size) // 2, (noise.shape[1] - size) // 2
    noise = noise[top : top + size, left : left + size]
    return np.asarray((noise - noise.mean()) / max(float(noise.std()), 1e-9))
