from __future__ import annotations

import numpy as np
import pytest
from skimage.color import rgb2lab

from wsss.data.classes import Classes
from wsss.io.rasters.label_masks import voc_palette
from wsss.viz.drawing.heatmap import heat, heat_overlay, resize_map
from wsss.viz.drawing.palette import HATCH, class_colours, magma

# Machado, Oliveira and Fernandes (2009), severity 1, in linear RGB.
DEFICIENCIES = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def classes(count: int) -> Classes:
    return Classes(("background", *map(str, range(count))), tuple((2 * value,) for value in range(count + 1)))


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_up_to_seven_classes_are_distinguishable_when_colour_blind(deficiency: str) -> None:
    colours = class_colours(classes(7)) / 255
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    seen = (linear @ np.array(DEFICIENCIES[deficiency]).T).clip(0, 1)
    encoded = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = rgb2lab(encoded[None])[0]
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=-1) + 1000 * np.eye(len(lab))
    assert distances.min() > 10  # a just noticeable difference is about 2


def test_colours_do_not_depend_on_the_number_of_classes() -> None:
    assert (class_colours(classes(7))[:3] == class_colours(classes(2))).all()
    assert (class_colours(classes(7))[0] == 0).all()


def test_more_classes_have_their_voc_colours() -> None:
    assert (class_colours(classes(8)) == voc_palette()[[2 * value for value in range(9)]]).all()


def test_hatching_has_no_class_colour() -> None:
    palette = {tuple(colour) for colour in voc_palette()[:255].tolist()}
    assert not palette & set(HATCH)


def test_magma_is_perceptually_uniform() -> None:
    lab = rgb2lab(magma()[None].astype(np.float64) / 255)[0]
    lightness = lab[:, 0]
    assert np.all(np.diff(lightness[::4]) > 0)
    # Lightness is linear except near black (magma is uniform in CAM02-UCS, not in CIELAB).
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
