"""Colours: colour-blind safe class colours, and the colour map magma."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wsss.io.rasters.label_masks import voc_palette

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.data.classes import Classes

HATCH: tuple[tuple[int, int, int], tuple[int, int, int]] = ((236, 236, 236), (112, 112, 112))
"""The two greys of the hatching of ignored pixels; neither is a VOC class colour."""

# Every 15th of the 256 colours of magma (Nathaniel Smith and Stéfan van der Walt, matplotlib, CC0); the error of linear
# interpolation is at most 3/255.
_MAGMA = (
    "000004 090720 1a1042 311165 4a1079 621980 792282 912b81 aa337d c23b75 d9466b ec5860 f7725c fc8e64 feaa74 fec68a "
    "fde2a3 fcfdbf"
)


# Okabe and Ito's colours (Color Universal Design, 2008), the most visible on photographs first.
_DISTINCT = "56b4e9 e69f00 009e73 f0e442 cc79a7 d55e00 0072b2"


def class_colours(classes: Classes) -> NDArray[np.uint8]:
    """Return the display colour of each class, ``(K + 1, 3)`` uint8, with black for the background.

    Up to seven classes get colour-blind safe colours; more classes get the VOC colours of their values on disk, as in
    mask files.
    """
    distinct = [(0, 0, 0), *(tuple(bytes.fromhex(colour)) for colour in _DISTINCT.split())]
    if len(classes) <= len(distinct):
        return np.array(distinct[: len(classes)], np.uint8)
    return voc_palette()[[values[0] for values in classes.values]]


def magma() -> NDArray[np.uint8]:
    """Return the perceptually uniform colour map magma as ``(256, 3)`` uint8: black for 0, pale yellow for 255."""
    anchors = np.array([list(bytes.fromhex(colour)) for colour in _MAGMA.split()], np.float64)
    positions = np.arange(0, 256, 15)
    channels = [np.interp(np.arange(256), positions, anchors[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def hex_colour(colour: NDArray[np.uint8]) -> str:
    """Return an RGB colour, ``(3,)`` uint8, as ``#rrggbb``."""
    return "#" + bytes(int(channel) for channel in colour).hex()
