"""Colours: one per class, that everyone can tell apart, and one map from numbers to colours (magma)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wsss.io.rasters.label_masks import voc_palette

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.data.sample import Classes

HATCH: tuple[tuple[int, int, int], tuple[int, int, int]] = ((236, 236, 236), (112, 112, 112))
"""The two greys of the hatching that marks ignored pixels; VOC gives neither to any of its classes."""

# Every 15th of the 256 colours of magma (Nathaniel Smith and Stéfan van der Walt, matplotlib, CC0); interpolating
# between them is never more than 3/255 off.
_MAGMA = (
    "000004 090720 1a1042 311165 4a1079 621980 792282 912b81 aa337d c23b75 d9466b ec5860 f7725c fc8e64 feaa74 fec68a "
    "fde2a3 fcfdbf"
)


# Okabe and Ito's colours (Color Universal Design, 2008), those first that stand out from photographs.
_DISTINCT = "56b4e9 e69f00 009e73 f0e442 cc79a7 d55e00 0072b2"


def class_colours(classes: Classes) -> NDArray[np.uint8]:
    """Return the colour of each class in pictures as ``(K + 1, 3)`` uint8; the background's is black.

    Up to seven classes have colours that people who see few colours can tell apart. Of more classes no such set is
    known: they have VOC's, for the values that they have on disk. (Masks on disk have VOC's colours always.)
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


def luminance(colour: NDArray[np.uint8]) -> float:
    """Return the relative luminance of an sRGB colour in [0, 1] (WCAG 2.1)."""
    value = np.asarray(colour, np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


def contrast(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return the contrast ratio of two sRGB colours, 1 … 21 (WCAG 2.1); symmetric."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def ink_on(colour: NDArray[np.uint8]) -> str:
    """Return ``#000000`` or ``#ffffff``, whichever is better read on ``colour``; the contrast is at least 4.5."""
    black, white = np.zeros(3, np.uint8), np.full(3, 255, np.uint8)
    return "#000000" if contrast(colour, black) >= contrast(colour, white) else "#ffffff"
