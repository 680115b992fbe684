"""Noisy labels: joints drawn with a pen of fixed width, like quick manual annotations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wsss.data.synthetic.drawing import strokes, without_specks
from wsss.data.synthetic.textures import blurred_noise
from wsss.data.synthetic.walls.wall import Box, Wall

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Points = NDArray[np.float64]


@dataclass(frozen=True)
class Pen:
    """Drawing style.

    Args:
        width: pen width in thousandths of the image side; at least 1.5 pixels.
        sway: standard deviation of strokes from the centre line of a joint, as a fraction of its width.
        reach: overshoot of short strokes beyond the centre lines of the joints at their ends, as a fraction of the
            joint width: mean and standard deviation; short strokes leave gaps, long ones spurs.
        lifted: probability that a short stroke is missing.
    """

    width: float = 10.0
    sway: float = 0.11
    reach: tuple[float, float] = (0.25, 0.25)
    lifted: float = 0.003


def pen_label(rng: np.random.Generator, wall: Wall, pen: Pen = Pen()) -> NDArray[np.bool_]:
    """Draw the joints of a wall; ``(S, S)`` bool, true under the pen.

    Long strokes follow the bed joints, short ones the head joints between them (in herringbone bond, the left and the
    upper side of each brick).
    """
    side = wall.camera.size
    off_x, off_y = (blurred_noise(rng, side, side / 45) for _ in range(2))
    joint = wall.size.joint * side / (wall.camera.area()[2] - wall.camera.area()[0])  # approximate, in pixels
    lines = []
    for points in _joints(rng, wall, pen):
        x, y = wall.camera.in_image(points[:, 0], points[:, 1])
        row, column = (np.clip(axis, 0, side - 1).astype(int) for axis in (y, x))
        lines.append(
            np.column_stack([x + pen.sway * joint * off_x[row, column], y + pen.sway * joint * off_y[row, column]])
        )
    drawn = strokes(side, lines, max(1.5, pen.width * side / 1000)) >= 0.5
    return without_specks(drawn, round(4 * joint))  # annotators skip short pieces of joints at the image border


def _joints(rng: np.random.Generator, wall: Wall, pen: Pen) -> Iterator[Points]:
    """Yield the centre lines of all joints in millimetres."""
    bricks, area = wall.bricks, wall.camera.area()
    joint = wall.size.joint
    if (bricks.course < 0).all():
        for left, top, right, bottom in bricks.faces:
            yield from _short(rng, (left, top - joint / 2, right, top - joint / 2), joint, pen)
            yield from _short(rng, (left - joint / 2, top, left - joint / 2, bottom), joint, pen)
        return
    courses = np.unique(bricks.course)
    tops = {course: float(bricks.faces[bricks.course == course, 1].mean()) for course in courses}
    bottoms = {course: float(bricks.faces[bricks.course == course, 3].mean()) for course in courses}
    beds = {course: (bottoms[course] + tops[course + 1]) / 2 for course in courses[:-1]}
    for v in beds.values():
        yield _line((area[0] - joint, v, area[2] + joint, v), joint)
    for course in courses[1:-1]:
        of_course = bricks.course == course
        faces, groups = bricks.faces[of_course], bricks.group[of_course]
        for left, right, joined in zip(faces[:-1, 2], faces[1:, 0], groups[:-1] == groups[1:], strict=True):
            if not joined:
                u = (left + right) / 2
                yield from _short(rng, (u, beds[course - 1], u, beds[course]), joint, pen)


def _short(rng: np.random.Generator, ends: Box, joint: float, pen: Pen) -> Iterator[Points]:
    """Yield a short stroke with its errors, or nothing if it is missing."""
    begin, end = joint * rng.normal(*pen.reach, 2)
    if rng.random() < pen.lifted:
        return
    start, stop = np.array(ends[:2]), np.array(ends[2:])
    along = (stop - start) / max(float(np.hypot(*(stop - start))), 1e-9)
    yield _line((*(start - begin * along), *(stop + end * along)), joint)


def _line(ends: tuple[float, ...], step: float) -> Points:
    start, stop = np.array(ends[:2]), np.array(ends[2:])
    count = 2 + int(np.hypot(*(stop - start)) / step)
    return np.asarray(start + np.linspace(0, 1, count)[:, None] * (stop - start))
