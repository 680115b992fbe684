"""Scenes of `shapes`: large plain bodies, each with a small emblem that determines its class.

All bodies have similar warm colours, and their contours depend little on the class, so the class activation maps of a
classifier cover the emblems but not most of the bodies. Refinement can recover the bodies, which differ from the
background in colour and have clear edges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wsss.data.synthetic.textures import background, clutter, paint, pixel_centres, rgb, smooth_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.float64]

CLASS_NAMES = ("cross", "ring", "bars", "star", "check")
"""Classes, named after their emblems; mask values are 1 … 5 in this order."""

EMBLEM_COLOURS = ((0.98, 0.2, 0.2), (0.25, 0.9, 0.95), (0.98, 0.9, 0.2), (0.95, 0.35, 0.95), (0.35, 0.95, 0.3))
PLATE = (0.08, 0.08, 0.1)

CONTOUR_HINT = 0.4
"""Fraction of objects with the typical contour of their class; the others have a random one."""

MIN_VISIBLE = 0.7
"""Minimum fraction of each object that stays visible; emblems are never covered."""

TRIES = 60


@dataclass(frozen=True)
class Body:
    """One object: its position in pixels, and its shape.

    Args:
        kind: class index, 1 … 5.
        contour: which of the five contours, 0 … 4.
        centre: x and y.
        angle: direction of the long axis, in radians.
        axes: half-length and half-width.
        emblem: position of the emblem along and across the body, as fractions of its axes.
    """

    kind: int
    contour: int
    centre: tuple[float, float]
    angle: float
    axes: tuple[float, float]
    emblem: tuple[float, float]
    radius: float

    def local(self, x: Plane, y: Plane) -> tuple[Plane, Plane]:
        """Return coordinates along and across the body, in pixels from its centre."""
        dx, dy = x - self.centre[0], y - self.centre[1]
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return dx * cos + dy * sin, dy * cos - dx * sin

    def depth(self, x: Plane, y: Plane) -> Plane:
        """Return the first-order signed distance to the contour in pixels, positive inside."""
        along, across = self.local(x, y)
        u, v = along / self.axes[0], across / self.axes[1]
        if self.contour == 0:  # ellipse
            level = np.hypot(u, v)
        elif self.contour == 1:  # rounded box
            level = (u**4 + v**4) ** 0.25
        elif self.contour == 2:  # pear
            level = np.hypot(u, v / np.clip(1 - 0.35 * u, 0.3, 2))
        elif self.contour == 3:  # bean
            level = np.hypot(u, v + 0.35 * (u**2 - 0.4))
        else:  # lozenge
            level = (np.abs(u) ** 1.4 + np.abs(v) ** 1.4) ** (1 / 1.4)
        slope_y, slope_x = np.gradient(level)
        return np.asarray((1 - level) / np.maximum(np.hypot(slope_x, slope_y), 1e-6))

    def emblem_plane(self, x: Plane, y: Plane) -> tuple[Plane, Plane]:
        """Return coordinates in which the emblem is the unit disc."""
        along, across = self.local(x, y)
        return (
            (along - self.emblem[0] * self.axes[0]) / self.radius,
            (across - self.emblem[1] * self.axes[1]) / self.radius,
        )


def draw_scene(
    rng: np.random.Generator, *, size: int, first: int, classes: int, max_objects: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one scene.

    Args:
        size: side length S in pixels.
        first: class (1 … ``classes``) of the first object; the others are random.
        max_objects: maximum number of objects; the number is drawn uniformly from 1 … ``max_objects``.

    Returns:
        The image ``(S, S, 3)`` uint8 RGB and the mask ``(S, S)`` uint8, 0 = background.
    """
    x, y = pixel_centres(size)
    picture = clutter(rng, background(rng, size))
    bodies: list[Body] = []
    owner = np.zeros((size, size), np.int64)
    for number in range(1, 1 + int(rng.integers(1, max_objects + 1))):
        kind = first if number == 1 else int(rng.integers(1, classes + 1))
        for _ in range(TRIES):
            body = _draw_body(rng, size, kind, classes)
            inside = body.depth(x, y) > 0
            if _fits(body, inside, bodies, owner, x, y):
                owner[inside] = number
                bodies.append(body)
                picture = _paint_body(rng, picture, body, x, y)
                break
    mask = np.array([0, *(body.kind for body in bodies)], np.uint8)[owner]
    picture = picture + rng.normal(0, 0.015, picture.shape)
    return (np.clip(picture, 0, 1) * 255).round().astype(np.uint8), mask


def _draw_body(rng: np.random.Generator, size: int, kind: int, classes: int) -> Body:
    half_length = size * rng.uniform(0.26, 0.34)
    half_width = size * rng.uniform(0.13, 0.17)
    hinted = rng.random() < CONTOUR_HINT
    any_contour = int(rng.integers(classes))
    return Body(
        kind=kind,
        contour=kind - 1 if hinted else any_contour,
        centre=(size * rng.uniform(0.2, 0.8), size * rng.uniform(0.2, 0.8)),
        angle=rng.uniform(0, math.tau),
        axes=(half_length, half_width),
        emblem=(rng.uniform(0.35, 0.5), rng.uniform(-0.12, 0.12)),
        radius=half_width * rng.uniform(0.42, 0.5),
    )


def _fits(
    body: Body, inside: NDArray[np.bool_], bodies: list[Body], owner: NDArray[np.int64], x: Plane, y: Plane
) -> bool:
    """Return whether a new body is within the image and leaves enough of earlier bodies visible."""
    size = owner.shape[0]
    full = math.pi * body.axes[0] * body.axes[1]
    disc = np.hypot(*body.emblem_plane(x, y)) <= 1.1
    disc_area = math.pi * (1.1 * body.radius) ** 2
    if inside.sum() < 0.75 * full or disc.sum() < 0.95 * disc_area or inside.sum() > 0.5 * size * size:
        return False
    for number, other in enumerate(bodies, start=1):
        other_inside = other.depth(x, y) > 0
        if ((owner == number) & ~inside).sum() < MIN_VISIBLE * other_inside.sum():
            return False
        if (inside & (np.hypot(*other.emblem_plane(x, y)) <= 1.1)).any():
            return False
    return True


def _paint_body(rng: np.random.Generator, picture: Plane, body: Body, x: Plane, y: Plane) -> Plane:
    size = picture.shape[0]
    depth = body.depth(x, y)
    colour = rgb(rng.uniform(0.06, 0.11), rng.uniform(0.4, 0.6), rng.uniform(0.68, 0.88))
    light = 1 + 0.1 * (body.centre[1] - y) / body.axes[0] + 0.06 * (smooth_noise(rng, size, 12) - 0.5)
    edge = 1 - 0.25 * np.clip(1 - depth / (size / 48), 0, 1)
    picture = paint(picture, np.clip(depth + 0.5, 0, 1), colour * (light * edge)[..., None])
    p, q = body.emblem_plane(x, y)
    plate = np.clip((1 - np.hypot(p, q)) * body.radius + 0.5, 0, 1)
    symbol = np.clip(_symbol(body.kind, p, q) * body.radius + 0.5, 0, 1)
    picture = paint(picture, plate, np.array(PLATE))
    return paint(picture, np.minimum(plate, symbol), np.array(EMBLEM_COLOURS[body.kind - 1]))


def _symbol(kind: int, p: Plane, q: Plane) -> Plane:
    """Return the approximate signed distance to the symbol of an emblem in emblem radii, positive inside."""
    reach = np.hypot(p, q)
    if kind == 1:  # cross
        return np.asarray(np.minimum(0.28 - np.minimum(np.abs(p), np.abs(q)), 0.85 - reach))
    if kind == 2:  # ring
        return np.asarray(0.22 - np.abs(reach - 0.58))
    if kind == 3:  # bars
        return np.asarray(np.minimum(0.2 * np.cos(p * math.tau / 0.75), 0.9 - reach))
    if kind == 4:  # star
        return np.asarray(0.5 + 0.28 * np.cos(5 * np.arctan2(q, p)) - reach)
    return np.asarray(np.minimum(np.sign(p * q) * np.minimum(np.abs(p), np.abs(q)), 0.9 - reach))  # check
