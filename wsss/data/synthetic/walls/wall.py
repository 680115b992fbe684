"""A brick wall on the pixel grid: the brick of each pixel, and the distance to its edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wsss.data.synthetic.textures import blurred_noise
from wsss.data.synthetic.walls.bonds import Bricks, BrickSize
from wsss.data.synthetic.walls.camera import Camera
from wsss.data.synthetic.walls.pieces import betti_numbers_of, tidy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.float64]

Box = tuple[float, float, float, float]
"""Left, top, right, bottom on the wall, in millimetres."""


@dataclass(frozen=True)
class Wall:
    """Geometry of a wall.

    Args:
        size: size of bricks and joints.
        openings: windows etc., each surrounded by a mortar joint.
        wave: deviation of the courses from straight lines, in millimetres.
        roughness: deviation of the brick edges, as a fraction of the joint width.
        rounding: radius of the brick corners in millimetres.
    """

    camera: Camera
    size: BrickSize
    bricks: Bricks
    openings: tuple[Box, ...] = ()
    wave: float = 1.5
    roughness: float = 0.08
    rounding: float = 3.0


@dataclass(frozen=True)
class View:
    """A wall on the pixel grid; all arrays are ``(S, S)``.

    Args:
        pieces: int32; 0 for mortar, otherwise the number of a brick (or of touching bricks) or opening.
        brick: int32; 0 for mortar and openings, otherwise 1 + the brick's index in `Bricks`.
        opening: int32; 0, or 1 + the index of the opening.
        depth: distance to the edge of the piece in pixels; negative in mortar.
        u, v: position on the wall in millimetres, before the courses are made wavy.
        scale: pixels per millimetre.
    """

    pieces: NDArray[np.int32]
    brick: NDArray[np.int32]
    opening: NDArray[np.int32]
    depth: Plane
    u: Plane
    v: Plane
    scale: Plane

    @property
    def mortar(self) -> NDArray[np.bool_]:
        """The accurate label: True for mortar."""
        return np.asarray(self.pieces == 0)

    @property
    def betti_numbers(self) -> tuple[int, int]:
        """(β₀, β₁) of the mortar, known by construction (see `wsss.data.synthetic.walls.pieces`)."""
        return betti_numbers_of(self.pieces)


def rasterise(rng: np.random.Generator, wall: Wall) -> View:
    """Rasterise a wall with random irregularities."""
    side = wall.camera.size
    u, v = wall.camera.on_wall()
    u = u + wall.wave * blurred_noise(rng, side, side / 9)
    v = v + wall.wave * blurred_noise(rng, side, side / 7)
    scale = _scale(u, v)
    joint = wall.size.joint
    rough = 0.6 * blurred_noise(rng, side, 2.5) + 0.8 * blurred_noise(rng, side, side / 40)
    rough = wall.roughness * joint * np.clip(rough, -2.2, 2.2)
    brick, depth = _visible_bricks(wall, u, v, rough)
    opening = np.zeros((side, side), np.int32)
    for index, face in enumerate(wall.openings):
        inside = _inside(np.array(face), u, v, 0.0)
        outside = -inside - joint
        depth = np.where(inside > -joint / 2, inside, np.minimum(depth, outside))
        opening[inside > 0] = index + 1
        brick[inside > -joint / 2] = 0
    pieces = np.where(brick > 0, np.append(0, wall.bricks.group + 1)[brick], 0)
    pieces = np.where(opening > 0, int(wall.bricks.group.max()) + 1 + opening, pieces)
    pieces = tidy(
        np.where(depth > 0, pieces, 0).astype(np.int32), min_area=max(6, round(joint * scale.mean()) ** 2 // 2)
    )
    return View(
        pieces=pieces,
        brick=np.where(opening > 0, 0, brick),
        opening=opening,
        depth=_consistent_depth(depth * scale, pieces > 0),
        u=u,
        v=v,
        scale=scale,
    )


def _visible_bricks(wall: Wall, u: Plane, v: Plane, rough: Plane) -> tuple[NDArray[np.int32], Plane]:
    """Return the brick of each pixel, from 1, and the distance to its edge, as if there were no openings."""
    depth = np.full(u.shape, -np.inf)
    brick = np.zeros(u.shape, np.int32)
    for index, face in enumerate(wall.bricks.faces):
        box = _visible_box(wall, face, wall.size.joint)
        if box is None:
            continue
        inside = _inside(face, u[box], v[box], wall.rounding) + rough[box]
        nearer = inside > depth[box]
        depth[box][nearer] = inside[nearer]
        brick[box][nearer] = index + 1
    return brick, depth


def _inside(face: NDArray[np.float64], u: Plane, v: Plane, rounding: float) -> Plane:
    """Return the signed distance to the edge of a rectangle with rounded corners, positive inside."""
    left, top, right, bottom = face
    across = np.abs(u - (left + right) / 2) - (right - left) / 2 + rounding
    down = np.abs(v - (top + bottom) / 2) - (bottom - top) / 2 + rounding
    beyond = np.hypot(np.maximum(across, 0), np.maximum(down, 0)) + np.minimum(np.maximum(across, down), 0)
    return np.asarray(rounding - beyond)


def _visible_box(wall: Wall, face: NDArray[np.float64], margin: float) -> tuple[slice, slice] | None:
    """Return the rows and columns that a brick and its joints cover; ``None`` if it is outside the image."""
    margin = margin + 3 * wall.wave
    left, top, right, bottom = face + margin * np.array([-1, -1, 1, 1])
    x, y = wall.camera.in_image(np.array([left, right, right, left]), np.array([top, top, bottom, bottom]))
    side = wall.camera.size
    low_x, high_x = max(0, int(x.min())), min(side, int(x.max()) + 1)
    low_y, high_y = max(0, int(y.min())), min(side, int(y.max()) + 1)
    return (slice(low_y, high_y), slice(low_x, high_x)) if low_x < high_x and low_y < high_y else None


def _scale(u: Plane, v: Plane) -> Plane:
    """Return the scale at each pixel in pixels per millimetre: the square root of the area ratio."""
    u_y, u_x = np.gradient(u)
    v_y, v_x = np.gradient(v)
    return np.asarray(1 / np.sqrt(np.maximum(np.abs(u_x * v_y - u_y * v_x), 1e-9)))


def _consistent_depth(depth: Plane, inside: NDArray[np.bool_]) -> Plane:
    """Correct the sign of the depth where `tidy` changed the pieces."""
    depth = np.where(inside & (depth <= 0), 0.25, depth)
    return np.where(~inside & (depth > 0), -0.25, depth)
