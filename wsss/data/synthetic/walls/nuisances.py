"""Out-of-distribution changes: graffiti, shadows and occlusions.

None of them changes the label: as in TopoMortar, mortar under paint, in the shade or behind a leaf is still mortar.
Pictures are ``(S, S, 3)`` RGB in [0, 1].
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from wsss.data.synthetic.drawing import disc, filled, leaf, random_curve, smooth_line, strokes
from wsss.data.synthetic.textures import blurred_noise, paint, rgb

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.float64]

GREEN = (0.24, 0.34)
"""Hues of leaves, in turns."""


def graffiti(rng: np.random.Generator, picture: Plane) -> Plane:
    """Paint a few letters, and possibly a filled patch, on a wall."""
    from scipy import ndimage

    size = picture.shape[0]
    if rng.random() < 0.4:
        centre = rng.uniform(0.2, 0.8, 2) * size
        outline = disc(centre, rng.uniform(0.15, 0.35) * size) + rng.normal(0, 0.02 * size, (48, 2))
        cover = ndimage.gaussian_filter(filled(size, [smooth_line(outline[::6])]), size / 90)
        picture = paint(picture, _with_holes(rng, cover, 0.8), _spray(rng))
    for _ in range(rng.integers(1, 4)):
        height = rng.uniform(0.2, 0.7) * size
        width = height * rng.uniform(0.06, 0.16)
        cover = strokes(size, _word(rng, size, height), width)
        cover = ndimage.gaussian_filter(cover, rng.uniform(0.04, 0.3) * width)
        picture = paint(picture, _with_holes(rng, cover, rng.uniform(0.75, 0.98)), _spray(rng))
    return picture


def shadows(rng: np.random.Generator, picture: Plane) -> Plane:
    """Add the shadow of leaves, of poles, or of the edge of a roof."""
    from scipy import ndimage

    size = picture.shape[0]
    kind = rng.choice(3, p=(0.5, 0.3, 0.2))
    if kind == 0:
        cover = filled(size, _foliage(rng, size, int(rng.integers(40, 110))))
        soft = rng.uniform(0.002, 0.01)
    elif kind == 1:
        lines = []
        for _ in range(rng.integers(1, 4)):
            heading = math.pi / 2 + rng.normal(0, 0.35)
            middle = rng.uniform(0, 1, 2) * size
            reach = np.array([math.cos(heading), math.sin(heading)]) * 2 * size
            lines.append(np.array([middle - reach, middle + reach]))
        cover = strokes(size, lines, rng.uniform(0.05, 0.2) * size)
        soft = rng.uniform(0.003, 0.012)
    else:
        corner, heading = rng.uniform(0.25, 0.75, 2) * size, rng.uniform(0, math.tau)
        along = np.array([math.cos(heading), math.sin(heading)]) * 3 * size
        across = np.array([-along[1], along[0]])
        cover = filled(size, [np.array([corner - along, corner + along, corner + across])])
        soft = rng.uniform(0.002, 0.01)
    if rng.random() < 0.3:
        cover = 1 - cover  # patches of sun in the shade
    depth = rng.uniform(0.72, 0.88) * ndimage.gaussian_filter(cover, soft * size)
    # Shade is lit by the sky, so it is bluish.
    picture = picture * (1 - depth[..., None] * np.array([1.0, 0.95, 0.88]))
    return np.asarray(picture * rng.uniform(1.1, 1.45))


def occlusion(rng: np.random.Generator, picture: Plane) -> Plane:
    """Add plants, a pole, cables or a bicycle in front of a wall."""
    kind = rng.choice(4, p=(0.45, 0.2, 0.15, 0.2))
    return (_plant, _pole, _cables, _bicycle)[kind](rng, picture)


def _word(rng: np.random.Generator, size: int, height: float) -> list[Plane]:
    """Return the lines of a few illegible letters in a row."""
    slope, slant = rng.normal(0, 0.2), rng.normal(0.1, 0.15)
    advance = 0.75 * height
    start = np.array([rng.uniform(-0.3, 0.5), rng.uniform(0.2, 1.0)]) * size
    letters = []
    for index in range(rng.integers(2, 7)):
        knots = rng.integers(3, 7)
        heights = np.where(
            np.arange(knots) % 2 == rng.integers(2), rng.uniform(0.6, 1.0, knots), rng.uniform(0, 0.3, knots)
        )
        across = rng.uniform(0, 0.75, knots) if rng.random() < 0.6 else np.linspace(0, 0.7, knots)
        points = np.column_stack([across + slant * heights, -heights]) * height
        origin = start + index * advance * np.array([1.0, slope])
        letters.append(origin + (smooth_line(points) if rng.random() < 0.75 else points))
    return letters


def _spray(rng: np.random.Generator) -> Plane:
    if rng.random() < 0.35:
        value = rng.choice([0.06, 0.92])
        return np.full(3, value)
    return rgb(rng.random(), rng.uniform(0.6, 0.95), rng.uniform(0.55, 0.95))


def _with_holes(rng: np.random.Generator, cover: Plane, strength: float) -> Plane:
    """Return the cover of paint with fine holes, as on a rough surface."""
    holes = np.clip(blurred_noise(rng, cover.shape[0], 1.3) - 1.4, 0, 1)
    return np.clip(strength * cover - holes * cover, 0, 1)


def _foliage(rng: np.random.Generator, size: int, count: int) -> list[Plane]:
    """Return outlines of leaves on a few twigs."""
    shapes = []
    twigs = [
        smooth_line(random_curve(rng, rng.uniform(-0.1, 1.1, 2) * size, rng.uniform(0, math.tau), 0.9 * size, 0.3, 7))
        for _ in range(max(2, count // 12))
    ]
    for _ in range(count):
        twig = twigs[rng.integers(len(twigs))]
        point = twig[rng.integers(len(twig))]
        length = size * rng.uniform(0.06, 0.2)
        shapes.append(leaf(point, length, length * rng.uniform(0.35, 0.6), rng.uniform(0, math.tau)))
    return shapes


def _plant(rng: np.random.Generator, picture: Plane) -> Plane:
    size = picture.shape[0]
    for _ in range(rng.integers(1, 4)):
        side = rng.integers(4)
        along = rng.uniform(0, 1) * size
        start = np.array([(along, size), (0.0, along), (size, along), (along, 0.0)][side])
        heading = (-math.pi / 2, 0.0, math.pi, math.pi / 2)[side] + rng.normal(0, 0.4)
        stem = smooth_line(random_curve(rng, start, heading, rng.uniform(0.5, 1.0) * size, 0.25, 7))
        hue = rng.uniform(*GREEN)
        colour = rgb(hue - 0.05, 0.5, rng.uniform(0.25, 0.5))
        picture = paint(picture, strokes(size, [stem], size * rng.uniform(0.006, 0.014)), colour)
        for point in stem[:: int(rng.integers(5, 10))]:
            length = size * rng.uniform(0.06, 0.17)
            heading = rng.uniform(0, math.tau)
            outline = leaf(point, length, length * rng.uniform(0.35, 0.65), heading)
            shade = 1 + 0.15 * blurred_noise(rng, size, size / 30)
            colour = rgb(hue + rng.normal(0, 0.02), rng.uniform(0.45, 0.8), rng.uniform(0.22, 0.6))
            picture = paint(picture, filled(size, [outline]), colour * shade[..., None])
            vein = np.array([point, point + 0.9 * length * np.array([math.cos(heading), math.sin(heading)])])
            picture = paint(picture, 0.5 * strokes(size, [vein], 1), colour * 1.4)
    return picture


def _pole(rng: np.random.Generator, picture: Plane) -> Plane:
    size = picture.shape[0]
    heading = math.pi / 2 + rng.normal(0, 0.06)
    middle = np.array([rng.uniform(0.15, 0.85) * size, size / 2])
    reach = np.array([math.cos(heading), math.sin(heading)]) * size
    half = rng.uniform(0.03, 0.09) * size
    y, x = np.mgrid[0:size, 0:size] + 0.5
    off = ((x - middle[0]) * reach[1] - (y - middle[1]) * reach[0]) / size / half
    round_shade = 0.45 + 0.65 * np.sqrt(np.clip(1 - (off - 0.3) ** 2 / 1.7, 0, 1))
    colour = rgb(rng.random(), rng.uniform(0.0, 0.3), rng.uniform(0.3, 0.75))
    cast = np.clip((1.6 - np.abs(off - 1.2)) * 2, 0, 1)  # the shadow of the pole
    picture = picture * (1 - 0.45 * cast)[..., None]
    cover = strokes(size, [np.array([middle - 2 * reach, middle + 2 * reach])], 2 * half)
    return paint(
        picture, cover, colour * round_shade[..., None] * (1 + 0.05 * blurred_noise(rng, size, 2.0))[..., None]
    )


def _cables(rng: np.random.Generator, picture: Plane) -> Plane:
    size = picture.shape[0]
    for _ in range(rng.integers(2, 6)):
        heading = rng.choice([0.0, math.pi / 2]) + rng.normal(0, 0.15)
        start = rng.uniform(0, 1, 2) * size
        start = start - size * np.array([math.cos(heading), math.sin(heading)])
        line = smooth_line(random_curve(rng, start, heading, 2.2 * size, 0.08, 8))
        width = rng.uniform(0.008, 0.025) * size
        shade = strokes(size, [line + 0.7 * width], width)
        picture = picture * (1 - 0.4 * shade)[..., None]
        picture = paint(picture, strokes(size, [line], width), np.full(3, rng.choice([0.08, 0.2, 0.75])))
    return picture


def _bicycle(rng: np.random.Generator, picture: Plane) -> Plane:
    """Add a wheel with spokes and mudguard, and part of the frame."""
    size = picture.shape[0]
    centre = np.array([rng.uniform(0.2, 0.8), rng.uniform(0.6, 1.0)]) * size
    radius = rng.uniform(0.35, 0.55) * size
    tyre = np.full(3, 0.1)
    steel = rgb(0.6, 0.05, rng.uniform(0.5, 0.75))
    turns = rng.uniform(0, math.tau) + np.linspace(0, math.tau, 25)[:-1]
    spokes = [np.array([centre, centre + radius * np.array([math.cos(t), math.sin(t)])]) for t in turns]
    picture = paint(picture, 0.85 * strokes(size, spokes, max(1, size / 300)), steel)
    picture = paint(picture, strokes(size, [disc(centre, radius)], 0.035 * size), tyre)
    picture = paint(picture, strokes(size, [disc(centre, 0.93 * radius)], 0.012 * size), steel)
    colour = rgb(rng.random(), rng.uniform(0.3, 0.9), rng.uniform(0.2, 0.7))
    saddle = centre + radius * np.array([rng.choice([-1, 1]) * rng.uniform(0.7, 1.2), -rng.uniform(1.0, 1.5)])
    head = saddle + radius * np.array([rng.choice([-1, 1]) * 1.2, rng.uniform(-0.1, 0.2)])
    frame = [np.array([centre, saddle]), np.array([saddle, head]), np.array([centre, head])]
    return paint(picture, strokes(size, frame, 0.028 * size), colour)
