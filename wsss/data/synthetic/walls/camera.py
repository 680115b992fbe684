"""A camera in front of a wall: the homography between pixels and millimetres on the wall."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wsss.data.synthetic.textures import pixel_centres

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """A homography between image and wall.

    Args:
        to_wall: ``(3, 3)``; maps (x, y, 1) in pixels to (u, v, 1) in millimetres, up to scale.
        size: side length of the image in pixels.
    """

    to_wall: NDArray[np.float64]
    size: int

    def on_wall(self) -> tuple[Plane, Plane]:
        """Return u and v of all pixel centres, each ``(S, S)``, in millimetres."""
        x, y = pixel_centres(self.size)
        return _apply(self.to_wall, x, y)

    def in_image(self, u: Plane, v: Plane) -> tuple[Plane, Plane]:
        """Return x and y in pixels of points on the wall."""
        return _apply(np.asarray(np.linalg.inv(self.to_wall), np.float64), u, v)

    def area(self) -> tuple[float, float, float, float]:
        """Return left, top, right, bottom of the visible part of the wall, in millimetres."""
        low, high = 0.0, float(self.size)
        u, v = _apply(self.to_wall, np.array([low, high, low, high]), np.array([low, low, high, high]))
        return float(u.min()), float(v.min()), float(u.max()), float(v.max())

    def pixels_per_mm(self) -> tuple[float, float]:
        """Return the smallest and the largest magnification over all positions and directions in the image."""
        steps = np.arange(5) * (self.size / 4)
        x, y = (axis.ravel() for axis in np.meshgrid(steps, steps))
        here, right, down = (np.array(_apply(self.to_wall, x + a, y + b)) for a, b in ((0, 0), (0.01, 0), (0, 0.01)))
        jacobian = np.stack([right - here, down - here], axis=-1).transpose(1, 0, 2) / 0.01  # mm per pixel
        stretch = np.linalg.svd(jacobian, compute_uv=False)
        return float(1 / stretch.max()), float(1 / stretch.min())


def camera_facing_origin(
    size: int, pixels_per_mm: float, *, roll: float, yaw: float, pitch: float, distance: float
) -> Camera:
    """Return a camera directed at the origin of the wall.

    Args:
        size: side length of the image in pixels.
        pixels_per_mm: magnification at the origin for a frontal camera.
        roll, yaw, pitch: rotations in radians about the optical, the vertical and the horizontal axis.
        distance: distance from the origin in image widths (short for wide lenses, long for telephoto lenses).
    """
    focal = distance * size
    turn_x = np.array([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
    turn_y = np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
    turn_z = np.array([[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]])
    turn = turn_z @ turn_x @ turn_y
    depth = focal / pixels_per_mm
    # A point (u, v, 0) on the wall has camera coordinates turn · (u, v, 0) + (0, 0, depth).
    from_wall = np.column_stack([turn[:, 0], turn[:, 1], (0.0, 0.0, depth)])
    intrinsic = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    return Camera(np.linalg.inv(intrinsic @ from_wall), size)


def _apply(matrix: NDArray[np.float64], x: Plane, y: Plane) -> tuple[Plane, Plane]:
    scale = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    return (
        np.asarray((matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) / scale),
        np.asarray((matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) / scale),
    )
