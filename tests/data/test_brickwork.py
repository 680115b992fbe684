"""Synthetic walls: bonds, cameras, walls and their labels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wsss.data.readers.topomortar import GROUPS
from wsss.data.synthetic.walls.bonds import BONDS, COURSED, BrickSize, lay
from wsss.data.synthetic.walls.brickwork import NARROWEST, draw_wall
from wsss.data.synthetic.walls.camera import camera_facing_origin
from wsss.data.synthetic.walls.openings import place_openings
from wsss.data.synthetic.walls.pen import Pen, pen_label
from wsss.data.synthetic.walls.wall import Wall, rasterise
from wsss.metrics.topology import cldice
from wsss.topology import betti_numbers

SIZE = BrickSize(length=228, height=54, joint=12)
AREA = (-300.0, -200.0, 300.0, 200.0)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


@pytest.mark.parametrize("bond", BONDS)
def test_bricks_cover_the_area_and_leave_joints(bond: str) -> None:
    bricks = lay(rng(), bond, SIZE, AREA)
    u, v = np.meshgrid(np.arange(AREA[0], AREA[2], 2.0), np.arange(AREA[1], AREA[3], 2.0))
    inside = np.zeros(u.shape, int)
    near = np.zeros(u.shape, bool)
    for left, top, right, bottom in bricks.faces:
        inside += (u > left) & (u < right) & (v > top) & (v < bottom)
        reach = 0.75 * SIZE.joint
        near |= (u > left - reach) & (u < right + reach) & (v > top - reach) & (v < bottom + reach)
    assert inside.max() == 1 and near.all()  # no overlap, and no gap wider than a joint (1.5 at corners)
    share = 1 - inside.mean()
    assert 0.12 < share < 0.3
    assert len(bricks.faces) == len(bricks.group) == len(bricks.course) == len(np.unique(bricks.group))


@pytest.mark.parametrize("bond", ["running", "third", "flemish", "english", "monk"])
def test_head_joints_of_adjacent_courses_are_staggered(bond: str) -> None:
    bricks = lay(rng(), bond, SIZE, AREA)
    for course in np.unique(bricks.course)[:-1]:
        upper, lower = (np.sort(bricks.faces[bricks.course == course + step, 0]) for step in (0, 1))
        visible = upper[(upper > AREA[0]) & (upper < AREA[2])]
        assert np.abs(visible[:, None] - lower[None, :]).min() > 2 * SIZE.joint


def test_headers_and_stretchers() -> None:
    def lengths(bond: str) -> set[int]:
        faces = lay(rng(), bond, SIZE, AREA).faces
        return set(np.round(faces[:, 2] - faces[:, 0]).astype(int))

    assert lengths("running") == lengths("stack") == lengths("third") == {228}
    assert lengths("flemish") == lengths("english") == lengths("monk") == {108, 228}
    assert lengths("wild") == {108, 168, 228}
    with pytest.raises(ValueError, match="dutch"):
        lay(rng(), "dutch", SIZE, AREA)


@pytest.mark.parametrize("bond", COURSED)
def test_jitter_keeps_joints_open_and_missing_joints_merge_bricks(bond: str) -> None:
    bricks = lay(rng(3), bond, SIZE, (-600.0, -600.0, 600.0, 600.0), jitter=0.3, missing=0.2)
    missing = 0
    for course in np.unique(bricks.course):
        of_course = bricks.course == course
        faces, group = bricks.faces[of_course], bricks.group[of_course]
        gaps = faces[1:, 0] - faces[:-1, 2]
        joined = group[1:] == group[:-1]
        missing += int(joined.sum())
        assert (gaps[joined] < 0).all() and (gaps[~joined] > 0.29 * SIZE.joint).all()
    courses = [bricks.faces[bricks.course == course] for course in np.unique(bricks.course)]
    tops, bottoms = (np.array([faces[0, side] for faces in courses]) for side in (1, 3))
    assert 0.05 * len(bricks.faces) < missing < 0.35 * len(bricks.faces)
    assert (tops[1:] - bottoms[:-1] > 0.29 * SIZE.joint).all()


def test_camera_projection_is_invertible() -> None:
    camera = camera_facing_origin(100, 0.5, roll=0.2, yaw=0.5, pitch=-0.3, distance=1.5)
    u, v = camera.on_wall()
    x, y = camera.in_image(u, v)
    assert np.allclose(x, np.arange(100)[None, :] + 0.5) and np.allclose(y, np.arange(100)[:, None] + 0.5)
    left, top, right, bottom = camera.area()
    assert left <= u.min() and right >= u.max() and top <= v.min() and bottom >= v.max()


def test_magnification() -> None:
    straight = camera_facing_origin(100, 0.5, roll=0.3, yaw=0, pitch=0, distance=2)
    assert np.allclose(straight.pixels_per_mm(), 0.5)
    low, high = camera_facing_origin(100, 0.5, roll=0, yaw=0.8, pitch=0, distance=2).pixels_per_mm()
    assert low < 0.5 * math.cos(0.8) and high > 0.5  # foreshortened horizontally, larger where the wall is closer


@pytest.mark.parametrize("bond", BONDS)
@pytest.mark.parametrize("seed", range(4))
def test_betti_numbers_by_construction(bond: str, seed: int) -> None:
    camera = camera_facing_origin(120, 0.3, roll=0.3 * seed, yaw=0.2 * seed, pitch=0.1, distance=1.6)
    area = camera.area()
    openings = place_openings(rng(seed), area, SIZE) if seed % 2 else ()
    bricks = lay(
        rng(seed), bond, SIZE, (area[0] - 40, area[1] - 40, area[2] + 40, area[3] + 40), jitter=0.15, missing=0.1
    )
    view = rasterise(rng(seed), Wall(camera, SIZE, bricks, openings, roughness=0.25))
    assert view.betti_numbers == tuple(betti_numbers(view.mortar))
    assert ((view.depth > 0) == ~view.mortar).all()
    assert 0.1 < view.mortar.mean() < 0.45


@pytest.mark.parametrize("group", GROUPS)
def test_every_group(group: str) -> None:
    drawn = [draw_wall(rng(seed), group, size=96) for seed in range(4)]
    for one in drawn:
        assert one.image.shape == (96, 96, 3) and one.image.dtype == np.uint8 and one.image.std() > 8
        assert one.betti == tuple(betti_numbers(one.masks["accurate"])) and one.betti[0] >= 1
        assert {kind: mask.dtype for kind, mask in one.masks.items()} == dict.fromkeys(
            ("accurate", "noisy", "pseudo"), bool
        )
    again = draw_wall(rng(2), group, size=96)
    assert np.array_equal(again.image, drawn[2].image)
    assert all(np.array_equal(mask, drawn[2].masks[kind]) for kind, mask in again.masks.items())


def test_image_and_label_are_aligned() -> None:
    """Mortar differs from bricks in colour under the label, but not under a transposed and rotated one."""
    right, wrong = [], []
    for seed in range(6):
        drawn = draw_wall(rng(seed), "indistr", size=128)
        values, mask = drawn.image.astype(float), drawn.masks["accurate"]
        for label, gaps in ((mask, right), (mask[::-1, ::-1].T, wrong)):
            spread = np.sqrt(0.5 * (values[label].var(axis=0) + values[~label].var(axis=0)))
            gaps.append(float((np.abs(values[label].mean(axis=0) - values[~label].mean(axis=0)) / spread).max()))
    assert np.median(right) > 3 * np.median(wrong)


@pytest.mark.slow
def test_errors_of_noisy_and_pseudo_labels() -> None:
    noisy, pseudo = [], []
    for seed in range(10):
        masks = draw_wall(rng(seed), "indistr", size=224).masks
        truth = masks["accurate"]
        for kind, scores in (("noisy", noisy), ("pseudo", pseudo)):
            mask = masks[kind]
            holes_error = abs(betti_numbers(mask).b1 - betti_numbers(truth).b1)
            scores.append((dice(mask, truth), cldice(mask, truth), holes_error))
    (thin, lines, _), (coarse, _, holes) = np.mean(noisy, axis=0), np.mean(pseudo, axis=0)
    assert 0.5 < thin < 0.78 and lines > 0.8  # thin strokes at correct positions
    assert 0.8 < coarse < 0.97 and holes > 0.5  # nearly correct area, with holes and bridges


def test_pen_width() -> None:
    camera = camera_facing_origin(200, 0.4, roll=0.05, yaw=0, pitch=0, distance=2)
    area = camera.area()
    wall = Wall(camera, SIZE, lay(rng(1), "running", SIZE, (area[0] - 40, area[1] - 40, area[2] + 40, area[3] + 40)))
    thin, thick = (pen_label(rng(1), wall, Pen(width=width, sway=0.05)) for width in (10, 20))
    assert thick.sum() == pytest.approx(2 * thin.sum(), rel=0.2) and (thick & thin).sum() > 0.98 * thin.sum()
    assert pen_label(rng(1), wall, Pen(lifted=1.0)).sum() < 0.85 * pen_label(rng(1), wall, Pen(lifted=0.0)).sum()


def test_joints_are_at_least_two_pixels_wide() -> None:
    """Steep walls are magnified until even the farthest joints are visible."""
    for seed in range(10):
        drawn = draw_wall(rng(seed), "angles", size=96)
        assert drawn.betti[0] <= 4
    assert NARROWEST > 2
