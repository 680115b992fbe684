"""Appearance of bricks and mortar: colours, texture, relief, weathering. Pictures are ``(S, S, 3)`` RGB in [0, 1]."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from wsss.data.synthetic.textures import blurred_noise, rgb
from wsss.data.synthetic.walls.wall import View

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.float64]

Hsv = tuple[float, float, float]

SHARP = 0.02
"""Precision of a human annotator, as a fraction of the image side."""


@dataclass(frozen=True)
class Look:
    """Appearance of a wall.

    Args:
        brick: mean hue (turns), saturation, value.
        spread: standard deviation of hue, saturation and value between bricks.
        burnt: fraction of bricks darkened in the kiln.
        mortar: hue, saturation, value.
        grain: strength of the sand texture of the mortar.
        smear: amount of mortar on the faces of the bricks, 0 … 1.
        erosion: amount of dark, washed-out mortar, 0 … 1.
        slack: standard deviation of edges in the picture from those of the label, as a fraction of the joint width, or
            of `SHARP` for wide joints: annotations are not exact to the pixel.
        stains: strength of dirt and white salts, 0 … 1.
        relief: strength of light and shadow at the edges of bricks, 0 … 1.
        light: direction of the light source, in radians from the right, clockwise.
        exposure: brightness of the photograph; 1 is neutral.
    """

    brick: Hsv
    spread: Hsv
    burnt: float
    mortar: Hsv
    texture: float
    grain: float
    smear: float
    erosion: float
    slack: float
    stains: float
    relief: float
    light: float
    exposure: float


def red_look(rng: np.random.Generator) -> Look:
    """Draw the look of an in-distribution wall: red, orange or brown bricks, usually lighter mortar."""
    kind = rng.choice(4, p=(0.4, 0.25, 0.2, 0.15))
    hue = (0.015, 0.04, 0.02, 0.03)[kind] + rng.normal(0, 0.006)
    saturation = (0.5, 0.66, 0.42, 0.55)[kind] + rng.normal(0, 0.06)
    value = (0.6, 0.72, 0.5, 0.62)[kind] + rng.normal(0, 0.05)
    mottled = kind == 3  # bricks of many colours from one kiln
    tone = rng.choice(3, p=(0.5, 0.25, 0.25))  # light, dark, or similar to the bricks
    mortar_value = (rng.uniform(0.58, 0.8), rng.uniform(0.3, 0.42), value * rng.uniform(0.75, 1.15))[tone]
    mortar_saturation = saturation * rng.uniform(0.35, 0.6) if tone == 2 else rng.uniform(0.05, 0.22)
    return _look(
        rng,
        brick=(hue, saturation, value),
        spread=(0.012, 0.08, 0.13) if mottled else (0.005, 0.035, 0.045),
        burnt=0.2 if mottled else rng.choice([0.0, 0.0, 0.06]),
        mortar=(rng.uniform(0.04, 0.12), mortar_saturation, mortar_value),
    )


def other_look(rng: np.random.Generator) -> Look:
    """Draw the look of a wall with yellow, grey, white, black or green bricks."""
    brick = (
        (rng.uniform(0.1, 0.13), rng.uniform(0.28, 0.5), rng.uniform(0.65, 0.85)),
        (rng.uniform(0.0, 1.0), rng.uniform(0.02, 0.1), rng.uniform(0.5, 0.75)),
        (rng.uniform(0.08, 0.15), rng.uniform(0.02, 0.08), rng.uniform(0.82, 0.92)),
        (rng.uniform(0.5, 0.8), rng.uniform(0.05, 0.15), rng.uniform(0.2, 0.32)),
        (rng.uniform(0.2, 0.4), rng.uniform(0.1, 0.25), rng.uniform(0.4, 0.6)),
    )[rng.integers(5)]
    darker = brick[2] > 0.72 or (brick[2] > 0.45 and rng.random() < 0.6)
    value = brick[2] * rng.uniform(0.5, 0.72) if darker else min(0.92, brick[2] + rng.uniform(0.18, 0.4))
    mortar = (rng.uniform(0.05, 0.15), rng.uniform(0.02, 0.12), value)
    return _look(rng, brick=brick, spread=(0.01, 0.04, 0.06), burnt=0.0, mortar=mortar)


def _look(rng: np.random.Generator, *, brick: Hsv, spread: Hsv, burnt: float, mortar: Hsv) -> Look:
    return Look(
        brick=brick,
        spread=spread,
        burnt=burnt,
        mortar=mortar,
        texture=rng.uniform(0.07, 0.18),
        grain=rng.uniform(0.06, 0.13),
        smear=rng.choice([0.1, rng.uniform(0.2, 0.9)]),
        erosion=rng.choice([0.0, rng.uniform(0.2, 0.7)]),
        slack=rng.uniform(0.1, 0.17),
        stains=rng.uniform(0.1, 0.8),
        relief=rng.uniform(0.3, 1.0),
        light=rng.uniform(math.pi * 1.1, math.pi * 1.9),  # from above
        exposure=rng.uniform(0.85, 1.12),
    )


def paint_wall(rng: np.random.Generator, view: View, look: Look, *, joint: float) -> Plane:
    """Paint bricks and mortar; openings are painted as mortar.

    Args:
        rng: random generator for colours and textures.
        view: positions of bricks and mortar.
        look: their appearance.
        joint: width of the joints in millimetres.
    """
    side = view.depth.shape[0]
    width = joint * view.scale  # of the joints, in pixels
    sharp = np.minimum(width, SHARP * side)
    stray = look.slack * sharp * blurred_noise(rng, side, 0.45 * float(sharp.mean()))
    view = replace(view, depth=view.depth + np.where(view.opening > 0, 0, stray))
    face = _faces(rng, view, look, width)
    bed = _mortar(rng, look, float(width.mean()), side)
    cover = np.clip(view.depth / 1.2 + 0.5, 0, 1)
    cover[view.opening > 0] = 0
    cover = cover * (1 - _smeared(rng, view, look, width))
    picture = bed * _shade_of_joints(view, look, width)[..., None]
    picture = picture + cover[..., None] * (face - picture)
    return _weathered(rng, picture, look)


def expose(rng: np.random.Generator, picture: Plane, *, exposure: float, blur: float) -> NDArray[np.uint8]:
    """Return a photograph of a picture, with uneven light, lens blur (sigma in pixels) and sensor noise."""
    from scipy import ndimage

    side = picture.shape[0]
    light = exposure * (1 + 0.06 * blurred_noise(rng, side, side / 3))
    picture = ndimage.gaussian_filter(picture * light[..., None], (blur, blur, 0))
    noise = 0.7 * rng.normal(0, 0.016, (side, side, 1)) + rng.normal(0, 0.008, picture.shape)
    return (np.clip(picture + noise, 0, 1) * 255).round().astype(np.uint8)


def _faces(rng: np.random.Generator, view: View, look: Look, width: Plane) -> Plane:
    """Return the faces of the bricks over the whole picture, including joints."""
    side = view.depth.shape[0]
    numbers, indices = np.unique(view.brick, return_inverse=True)
    colours = np.array([_brick_colour(rng, look) for _ in numbers])[indices.reshape(view.brick.shape)]
    fine, middle, coarse = (blurred_noise(rng, side, sigma) for sigma in (0.8, side / 100, side / 30))
    value = 1 + look.texture * (0.5 * fine + 0.7 * middle + 0.6 * coarse)
    pits = np.clip(blurred_noise(rng, side, side / 160) - 1.9, 0, 1)  # pores and chips
    value = value - 1.2 * look.texture * 4 * pits
    tint = 0.4 * look.texture * blurred_noise(rng, side, side / 25)
    picture = colours * value[..., None]
    picture[..., 0] *= 1 + 0.3 * tint
    picture[..., 2] *= 1 - 0.5 * tint
    down, right = np.gradient(view.depth)
    slope = right * math.cos(look.light) + down * math.sin(look.light)
    rim = np.exp(-np.maximum(view.depth, 0) / np.maximum(0.22 * width, 0.7))
    # At an edge that faces the light, depth increases away from the light.
    return np.asarray(picture * (1 - 0.22 * look.relief * np.clip(slope, -1, 1) * rim)[..., None])


def _brick_colour(rng: np.random.Generator, look: Look) -> Plane:
    hue, saturation, value = np.array(look.brick) + np.array(look.spread) * rng.normal(0, 1, 3)
    if rng.random() < look.burnt:
        saturation, value = saturation * 0.6, value * 0.5
    return rgb(hue, float(np.clip(saturation, 0, 0.9)), float(np.clip(value, 0.08, 0.97)))


def _mortar(rng: np.random.Generator, look: Look, width: float, side: int) -> Plane:
    sand = 0.6 * rng.standard_normal((side, side)) + 0.8 * blurred_noise(rng, side, 1.1)
    value = 1 + look.grain * (sand + 0.9 * blurred_noise(rng, side, side / 28))
    washed = blurred_noise(rng, side, 1.5 * width) + 0.6 * blurred_noise(rng, side, 0.4 * width)
    value = value * (1 - 0.6 * look.erosion * np.clip(washed - 0.6, 0, 1))
    return np.asarray(rgb(*look.mortar) * value[..., None])


def _shade_of_joints(view: View, look: Look, width: Plane) -> Plane:
    """Return the shadow of the bricks on the recessed mortar, as a factor."""
    from scipy import ndimage

    reach = float(0.3 * width.mean())
    # Bricks between each pixel and the light: the picture shifted away from the light.
    shift = (-reach * math.sin(look.light), -reach * math.cos(look.light))
    solid = np.clip(view.depth + 0.5, 0, 1)
    above = ndimage.shift(solid, shift, order=1, mode="nearest")
    recess = np.clip(-view.depth / np.maximum(0.35 * width, 1), 0, 1)
    return np.asarray(1 - look.relief * (0.34 * above * (1 - solid) + 0.12 * (1 - recess)))


def _smeared(rng: np.random.Generator, view: View, look: Look, width: Plane) -> Plane:
    """Return the amount of mortar on the bricks: patches near the joints."""
    side = view.depth.shape[0]
    patches = blurred_noise(rng, side, side / 22) + 0.5 * blurred_noise(rng, side, side / 90)
    near = np.exp(-np.maximum(view.depth, 0) / (0.8 * width))
    return np.asarray(0.75 * look.smear * np.clip(patches - 0.5, 0, 1) * near)


def _weathered(rng: np.random.Generator, picture: Plane, look: Look) -> Plane:
    """Add dark dirt and white salts to a picture."""
    side = picture.shape[0]
    dirt = np.clip(blurred_noise(rng, side, side / 9) - 0.4, 0, 2)
    salt = np.clip(blurred_noise(rng, side, side / 12) + 0.6 * blurred_noise(rng, side, side / 60) - 1.5, 0, 1)
    picture = picture * (1 - 0.2 * look.stains * dirt)[..., None]
    return np.asarray(picture + (0.35 * look.stains * salt)[..., None] * (0.85 - picture))
