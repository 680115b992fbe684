"""One synthetic wall: its image, its labels of all kinds, and the Betti numbers of the accurate label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wsss.data.synthetic.walls.bonds import BONDS, BrickSize, lay
from wsss.data.synthetic.walls.camera import Camera, camera_facing_origin
from wsss.data.synthetic.walls.colour_label import colour_label
from wsss.data.synthetic.walls.masonry import expose, other_look, paint_wall, red_look
from wsss.data.synthetic.walls.nuisances import graffiti, occlusion, shadows
from wsss.data.synthetic.walls.openings import paint_openings, place_openings
from wsss.data.synthetic.walls.pen import pen_label
from wsss.data.synthetic.walls.wall import Wall, rasterise

if TYPE_CHECKING:
    from numpy.typing import NDArray

BOND_SHARES = (0.4, 0.1, 0.02, 0.12, 0.1, 0.12, 0.12, 0.02)
"""Frequency of each of `BONDS`."""

NARROWEST = 2.6
"""Minimum width of a joint in pixels; the magnification is raised until it is reached."""


@dataclass(frozen=True)
class Drawn:
    """A drawn wall.

    Args:
        image: ``(S, S, 3)`` uint8 RGB.
        masks: label kind → ``(S, S)`` bool, true on mortar.
        betti: (β₀, β₁) of the accurate mask, known by construction.
    """

    image: NDArray[np.uint8]
    masks: dict[str, NDArray[np.bool_]]
    betti: tuple[int, int]


def draw_wall(rng: np.random.Generator, group: str, *, size: int) -> Drawn:
    """Draw a wall.

    Args:
        group: one of TopoMortar's groups: indistr, angles, colors, graffiti, objects, occlusion, shadows.
        size: side length S in pixels.
    """
    joint = rng.uniform(11, 21)
    bricks = BrickSize(length=rng.uniform(215, 240), height=rng.uniform(45, 62), joint=joint)
    camera = _camera(rng, size, joint, steep=group == "angles")
    area = camera.area()
    openings = place_openings(rng, area, bricks) if group == "objects" else ()
    margin = 3 * joint
    seen = (area[0] - margin, area[1] - margin, area[2] + margin, area[3] + margin)
    bond = BONDS[rng.choice(len(BONDS), p=BOND_SHARES)]
    missing = rng.choice([0.0, 0.02])
    wall = Wall(
        camera=camera,
        size=bricks,
        bricks=lay(rng, bond, bricks, seen, jitter=rng.uniform(0.03, 0.16), missing=missing),
        openings=openings,
        wave=rng.uniform(0.3, 2.0),
        roughness=rng.uniform(0.04, 0.16),
        rounding=rng.uniform(1.0, 0.4 * joint),
    )
    view = rasterise(rng, wall)
    appearance = other_look(rng) if group == "colors" else red_look(rng)
    picture = paint_wall(rng, view, appearance, joint=joint)
    picture = paint_openings(rng, picture, view, openings)
    if group == "graffiti":
        picture = graffiti(rng, picture)
    elif group == "shadows":
        picture = shadows(rng, picture)
    elif group == "occlusion":
        picture = occlusion(rng, picture)
    image = expose(rng, picture, exposure=appearance.exposure, blur=rng.uniform(0.4, 0.8) * (size / 256) ** 0.5)
    drawn = pen_label(rng, wall)
    pseudo = colour_label(image, drawn, joint=joint * float(view.scale.mean()))
    return Drawn(image, {"accurate": view.mortar, "noisy": drawn, "pseudo": pseudo}, view.betti_numbers)


def _camera(rng: np.random.Generator, size: int, joint: float, *, steep: bool) -> Camera:
    """Return a nearly frontal camera, or a rotated, lateral, low or high one (``steep``)."""
    magnification = size * rng.uniform(0.012, 0.036) / joint
    # Roll, yaw and pitch, bounded so that the horizon stays out of view.
    angles = np.clip(rng.normal(0, 1, 3), -2, 2) * ((0.1, 0.25, 0.12) if steep else (0.03, 0.07, 0.07))
    if steep:
        axis = rng.integers(3)
        angles[axis] = rng.choice([-1, 1]) * rng.uniform(*((0.25, 0.7), (0.6, 0.9), (0.5, 0.8))[axis])
    roll, yaw, pitch = angles
    distance = rng.uniform(1.4, 3.0)
    while True:
        camera = camera_facing_origin(size, magnification, roll=roll, yaw=yaw, pitch=pitch, distance=distance)
        if camera.pixels_per_mm()[0] * joint >= NARROWEST:
            return camera
        magnification *= 1.1
