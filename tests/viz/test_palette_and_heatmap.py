from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import rgb2lab

from wsss.data.sample import Classes
from wsss.io.masks import voc_palette
from wsss.viz.heatmap import heat, heat_overlay, resize_map
from wsss.viz.palette import HATCH, class_colours, contrast, hex_colour, ink_on, magma


def test_class_colours_follow_the_values_on_disk() -> None:
    classes = Classes(("background", "cat", "person"), ((0,), (8,), (15, 3)))
    assert [hex_colour(colour) for colour in class_colours(classes)] == ["#000000", "#400000", "#c08080"]


def test_hatching_has_no_colour_of_a_class() -> None:
    palette = {tuple(colour) for colour in voc_palette()[:255].tolist()}
    assert not palette & set(HATCH)


def test_magma_is_perceptually_uniform() -> None:
    lab = rgb2lab(magma()[None].astype(np.float64) / 255)[0]
    lightness = lab[:, 0]
    assert np.all(np.diff(lightness[::4]) > 0)
    # Lightness grows linearly, but for the first steps out of black (magma is even in CAM02-UCS, not in CIELAB).
    steps = np.diff(lightness[16::16])
    assert np.abs(steps / steps.mean() - 1).max() < 0.3
    assert lightness[0] < 2 and lightness[-1] > 95


def test_heat_clips_and_keeps_order() -> None:
    colours = heat(np.array([[-1.0, 0.0, 0.5, 1.0, 7.0]]))
    assert (colours[0, 0] == colours[0, 1]).all() and (colours[0, 3] == colours[0, 4]).all()
    assert (colours[0, 2] == magma()[128]).all()


def test_heat_overlay_blends() -> None:
    image = np.full((4, 6, 3), 100, np.uint8)
    ones = np.ones((2, 3))
    assert (heat_overlay(image, ones, opacity=0.0) == image).all()
    assert (heat_overlay(image, ones, opacity=1.0) == magma()[255]).all()


def test_resize_map_keeps_a_constant() -> None:
    assert np.allclose(resize_map(np.full((3, 5), 0.25), (11, 17)), 0.25)


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_ink_can_be_read_on_any_colour(colour: tuple[int, int, int]) -> None:
    background = np.array(colour, np.uint8)
    ink = np.array(list(bytes.fromhex(ink_on(background)[1:])), np.uint8)
    assert contrast(background, ink) >= 4.5


def test_contrast_of_black_and_white_is_21() -> None:
    assert contrast(np.zeros(3, np.uint8), np.full(3, 255, np.uint8)) == pytest.approx(21)
