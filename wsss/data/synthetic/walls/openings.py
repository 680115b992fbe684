"""Openings in a wall: windows, doors, vents, signs, beams; background, surrounded by mortar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wsss.data.synthetic.textures import blurred_noise, paint, rgb
from wsss.data.synthetic.walls.bonds import BrickSize
from wsss.data.synthetic.walls.wall import Box, View

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.float64]


def place_openings(rng: np.random.Generator, area: Box, size: BrickSize) -> tuple[Box, ...]:
    """Return one or two openings that are at least partly visible.

    Args:
        area: visible part of the wall in millimetres.
        size: size of the bricks; openings span whole courses, so that no slivers of bricks remain.
    """
    left, top, right, bottom = area
    width, height = right - left, bottom - top
    kind = rng.choice(4, p=(0.4, 0.3, 0.12, 0.18))
    if kind == 0:  # a window or door, cropped by the image border
        u, v = rng.uniform(0.45, 0.75), rng.uniform(0.35, 0.7)
        boxes = [(left + u * width, top + v * height, right + width, bottom + height)]
        if rng.random() < 0.5:
            boxes = [(left - width, *boxes[0][1:2], right - u * width, bottom + height)]
    elif kind == 1:  # a window, vent or sign in the middle
        wide, high = rng.uniform(0.12, 0.25) * width, rng.uniform(0.12, 0.25) * height
        u, v = left + rng.uniform(0.35, 0.65) * width, top + rng.uniform(0.35, 0.65) * height
        boxes = [(u - wide, v - high, u + wide, v + high)]
    elif kind == 2:  # a beam or string course across the wall
        v, thick = top + rng.uniform(0.2, 0.8) * height, rng.uniform(0.08, 0.2) * height
        boxes = [(left - width, v - thick / 2, right + width, v + thick / 2)]
    else:  # two small openings
        v, half = top + rng.uniform(0.3, 0.7) * height, rng.uniform(0.06, 0.13) * width
        centres = left + np.array([rng.uniform(0.15, 0.35), rng.uniform(0.6, 0.85)]) * width
        boxes = [(u - half, v - half, u + half, v + half) for u in centres]
    pitch = size.height + size.joint
    snapped = []
    for box in boxes:
        first, last = round(box[1] / pitch), round((box[3] - size.height) / pitch)
        snapped.append((float(box[0]), first * pitch, float(box[2]), max(first, last) * pitch + size.height))
    return tuple(snapped)


def paint_openings(rng: np.random.Generator, picture: Plane, view: View, openings: tuple[Box, ...]) -> Plane:
    """Paint each opening over a picture ``(S, S, 3)`` in [0, 1]: window, door, vent, sign or timber."""
    for index, (left, top, right, bottom) in enumerate(openings):
        # Relative position: 0 … 1 from the left (top) to the right (bottom) edge of the opening.
        across, down = (view.u - left) / (right - left), (view.v - top) / (bottom - top)
        cover = np.where(view.opening == index + 1, np.clip(view.depth + 0.5, 0, 1), 0)
        wide = (right - left) > 4 * (bottom - top)
        large = (right - left) * view.scale.mean() > 0.4 * view.depth.shape[0]
        kind = 3 if wide else 0 if large else rng.integers(3)
        frame = np.minimum(
            np.minimum(view.u - left, right - view.u), np.minimum(view.v - top, bottom - view.v)
        )  # mm from the nearest edge
        inner = (_window, _vent, _sign, _timber)[kind](rng, view, frame, across, down)
        picture = paint(picture, cover, inner)
    return picture


def _window(rng: np.random.Generator, view: View, frame: Plane, across: Plane, down: Plane) -> Plane:
    side = frame.shape[0]
    wood = rgb(rng.choice([0.1, 0.3, 0.6]), rng.uniform(0.0, 0.4), rng.choice([0.92, 0.85, 0.25]))
    sky = rgb(0.58, rng.uniform(0.1, 0.4), rng.uniform(0.3, 0.75))
    cloud = 0.5 + 0.25 * blurred_noise(rng, side, side / 8)
    glass = sky * (0.6 + 0.3 * down[..., None]) + np.clip(cloud, 0, 1)[..., None] * 0.2
    bar = frame.max() * 0.22
    shut = (frame < bar) | (np.abs(across - 0.5) < 0.04)
    lit = 0.9 + 0.1 * np.tanh((frame - bar / 2) / (bar / 6))
    return np.where(shut[..., None], wood * lit[..., None], np.clip(glass, 0, 1))


def _vent(rng: np.random.Generator, view: View, frame: Plane, across: Plane, down: Plane) -> Plane:
    metal = rgb(0.6, rng.uniform(0.0, 0.15), rng.uniform(0.25, 0.8))
    slats = 0.65 + 0.35 * np.cos(down * np.pi * 2 * rng.integers(5, 11))
    shade = np.where(frame < frame.max() * 0.15, 1.0, slats)
    return np.asarray(metal * shade[..., None])


def _sign(rng: np.random.Generator, view: View, frame: Plane, across: Plane, down: Plane) -> Plane:
    ground = rgb(rng.random(), rng.uniform(0.1, 0.8), rng.uniform(0.3, 0.9))
    ink = np.full(3, 0.95 if ground.mean() < 0.5 else 0.08)
    rows = rng.integers(3, 6)
    row = down * (rows + 1)
    letters = np.sin(across * rng.uniform(70, 120) + 7 * np.floor(row)) + 0.6 * np.sin(row * 25 + across * 31)
    text = (letters > 0.1) & (np.sin(across * rng.uniform(18, 26) + 4 * np.floor(row)) > -0.75)  # words
    text &= (np.abs(row % 1 - 0.5) < 0.24) & (np.abs(across - 0.5) < 0.38) & (np.abs(down - 0.5) < 0.42)
    rim = (frame > frame.max() * 0.06) & (frame < frame.max() * 0.1)
    return np.where((text | rim)[..., None], ink, np.broadcast_to(ground, (*frame.shape, 3)))


def _timber(rng: np.random.Generator, view: View, frame: Plane, across: Plane, down: Plane) -> Plane:
    side = frame.shape[0]
    wood = rgb(rng.uniform(0.05, 0.1), rng.uniform(0.1, 0.55), rng.uniform(0.15, 0.6))
    bend = 3 * blurred_noise(rng, side, side / 6)
    rings = 0.85 + 0.12 * np.sin(view.v / rng.uniform(2, 5) + bend) + 0.06 * blurred_noise(rng, side, 1.5)
    return np.asarray(wood * rings[..., None])
