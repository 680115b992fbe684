"""Rendering of synthetic walls: shapes, paint, light, and labels by colour."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wsss.data.synthetic.drawing import disc, filled, leaf, smooth_line, strokes, without_pinholes, without_specks
from wsss.data.synthetic.textures import blurred_noise
from wsss.data.synthetic.walls.bonds import BrickSize, lay
from wsss.data.synthetic.walls.brickwork import _camera
from wsss.data.synthetic.walls.camera import camera_facing_origin
from wsss.data.synthetic.walls.colour_label import colour_label
from wsss.data.synthetic.walls.masonry import expose, other_look, paint_wall, red_look
from wsss.data.synthetic.walls.nuisances import graffiti, occlusion, shadows
from wsss.data.synthetic.walls.openings import paint_openings, place_openings
from wsss.data.synthetic.walls.wall import View, Wall, rasterise

SIZE = BrickSize(length=228, height=54, joint=14)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def wall(side: int = 128, openings: tuple[tuple[float, float, float, float], ...] = ()) -> View:
    camera = camera_facing_origin(side, side / 500, roll=0.0, yaw=0.0, pitch=0.0, distance=2)
    return rasterise(rng(), Wall(camera, SIZE, lay(rng(), "running", SIZE, (-300, -300, 300, 300)), openings))


def test_sizes_of_shapes() -> None:
    area = filled(80, [disc(np.array([40.0, 40.0]), 20)]).sum()
    assert math.pi * 20**2 < area < math.pi * 21**2  # OpenCV adds an outline of half a pixel
    line = strokes(80, [np.array([[10.0, 40.0], [70.0, 40.0]])], 5)
    assert line[:, 40].sum() == pytest.approx(5, abs=0.6) and line[:, 75:].sum() == 0
    assert (np.average(np.arange(80) + 0.5, weights=line[:, 40])) == pytest.approx(40, abs=0.3)
    outline = leaf(np.array([10.0, 10.0]), 40, 12, 0.0)
    assert np.ptp(outline[:, 0]) == pytest.approx(40) and np.ptp(outline[:, 1]) == pytest.approx(12, rel=0.02)
    knots = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 1.0], [4.0, 4.0]])
    curve = smooth_line(knots, steps=5)
    assert np.allclose(curve[::5], knots) and len(curve) == 16


def test_specks_and_pinholes() -> None:
    mask = np.zeros((20, 20), bool)
    mask[2:10, 2:10] = True
    mask[4, 4] = False  # a pinhole
    mask[6:9, 5:8] = False  # a hole
    mask[15, 15] = True  # a speck
    mask[0, 18:] = True
    mask[1, 18] = True  # encloses a pixel together with the image border
    cleaned = without_pinholes(without_specks(mask, 3), 4)
    assert cleaned[4, 4] and not cleaned[7, 6] and not cleaned[15, 15]
    assert cleaned[0, 18] and not cleaned[1, 19]


@pytest.mark.parametrize("sigma", [0.8, 3.0, 20.0])
def test_noise(sigma: float) -> None:
    noise = np.stack([blurred_noise(rng(seed), 96, sigma) for seed in range(8)])
    assert np.allclose(noise.mean(axis=(1, 2)), 0) and np.allclose(noise.std(axis=(1, 2)), 1)

    def similarity(distance: int) -> float:
        return float((noise[:, :-distance] * noise[:, distance:]).mean())

    assert similarity(max(1, round(sigma / 2))) > 0.6 and (sigma > 10 or abs(similarity(round(5 * sigma))) < 0.15)


def test_out_of_distribution_changes_affect_the_picture() -> None:
    view = wall()
    plain = paint_wall(rng(1), view, red_look(rng()), joint=SIZE.joint)
    for change in (graffiti, shadows, occlusion):
        for seed in range(6):
            changed = change(rng(seed), plain)
            touched = (np.abs(changed - plain).max(axis=2) > 0.05).mean()
            assert changed.shape == plain.shape and np.isfinite(changed).all() and touched > 0.01
    assert shadows(rng(1), plain).min() >= 0


def test_openings_are_painted_in_place() -> None:
    for seed in range(8):
        openings = place_openings(rng(seed), (-250, -250, 250, 250), SIZE)
        for _, top, _, bottom in openings:  # they span whole courses
            pitch = SIZE.height + SIZE.joint
            assert top % pitch == pytest.approx(0, abs=1e-6) or top % pitch == pytest.approx(pitch)
            assert (bottom - SIZE.height) % pitch == pytest.approx(0, abs=1e-6) or bottom > top
        view = wall(openings=openings)
        before = paint_wall(rng(1), view, red_look(rng(2)), joint=SIZE.joint)
        after = paint_openings(rng(3), before, view, openings)
        changed = np.abs(after - before).max(axis=2) > 1e-9
        assert not changed[view.opening == 0].any() and (view.opening == 0).any()
        assert not view.mortar[view.opening > 0].any()


@pytest.mark.slow
def test_bricks_of_other_colours() -> None:
    reds, others = [], []
    for seed in range(20):
        for draw, redness in ((red_look, reds), (other_look, others)):
            appearance = draw(rng(seed))
            picture = paint_wall(rng(seed), wall(64), appearance, joint=SIZE.joint)
            image = expose(rng(seed), picture, exposure=1.0, blur=0.5).astype(float)
            bricks = image[~wall(64).mortar]
            redness.append(float((bricks[:, 0] - bricks[:, 2]).mean() / bricks.mean()))
    assert min(reds) > 0.3 and np.median(others) < 0.3


def test_the_horizon_is_never_visible() -> None:
    for seed in range(300):
        camera = _camera(rng(seed), 256, 15.0, steep=seed % 3 > 0)
        x, y = np.array([0.0, 0.0, 256.0, 256.0]), np.array([0.0, 256.0, 0.0, 256.0])
        depth = camera.to_wall[2, 0] * x + camera.to_wall[2, 1] * y + camera.to_wall[2, 2]
        assert (np.sign(depth) == np.sign(depth[0])).all()
        left, top, right, bottom = camera.area()
        assert 150 < right - left < 3000 and 150 < bottom - top < 3000  # millimetres


def test_labels_by_colour() -> None:
    truth = wall(128).mortar
    image = np.where(truth[..., None], (200, 190, 180), (150, 60, 40)).astype(np.uint8)
    width = SIZE.joint * 128 / 500
    noisy = np.clip(image + rng().normal(0, 12, image.shape), 0, 255).astype(np.uint8)
    label = colour_label(noisy, truth, joint=width)
    assert 2 * (label & truth).sum() / (label.sum() + truth.sum()) > 0.93
    stained = noisy.copy()
    stained[30:60, 30:60] = (195, 185, 175)  # plaster over bricks looks like mortar
    assert colour_label(stained, truth, joint=width)[35:55, 35:55].mean() > 0.9
    assert not colour_label(noisy, np.zeros_like(truth), joint=width).any()
