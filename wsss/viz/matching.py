"""A Betti matching as a picture: what belongs together in one colour on both images, what has no partner circled."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.viz.overlay import contact_sheet

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from wsss.topology import BettiMatching, DimensionMatching, Intervals

PANEL = 640
"""Smaller images are enlarged by a whole factor to about this width."""

MOST = 300
"""Features drawn per image, those that persist longest; smaller ones wouldn't be seen among so many."""

UNMATCHED = (213, 94, 0)
CIRCLE = (255, 255, 255)
ESSENTIAL = (170, 170, 170)
RIM = 6
"""Pixels between a feature and its circle."""


@dataclass(frozen=True)
class _Feature:
    """An interval to draw: dimension, birth, death, cell inside it, colour, whether it has a partner."""

    dimension: int
    birth: float
    death: float
    cell: int
    colour: tuple[int, int, int]
    matched: bool

    @property
    def length(self) -> float:
        return abs(self.birth - self.death)


def draw_matching(pred: ArrayLike, gt: ArrayLike, matching: BettiMatching, path: Path) -> None:
    """Write prediction and label side by side as a PNG, with the features of their matching painted in.

    A component is painted where it lives just before it dies, a hole, hatched, where it is before it is filled.
    Matched features have the same colour on both sides, each pair its own; unmatched ones are vermilion and circled in
    white, and counted in the heading, components + holes. The essential component is grey where it is in no list.
    Features outside the image (of a frame) can't be drawn, and of more than `MOST` the most persistent are.

    Args:
        pred: ``(H, W)`` that was matched.
        gt: ``(H, W)`` likewise.
        matching: of these two, in either filtration.
        path: the PNG to write; the same input gives the same bytes.
    """
    panels, titles = [], []
    for name, image, side in (("prediction", pred, 0), ("label", gt, 1)):
        values = np.asarray(image, np.float64)
        bars = (matching.pred, matching.gt)[side]
        superlevel = bool(bars.essential.deaths[0] < 0)
        features = sorted(_features(matching, side), key=lambda feature: -feature.length)[:MOST]
        panels.append(_panel(values, features, int(bars.essential.birth_cells[0]), superlevel))
        unmatched = [len((part.unmatched_pred, part.unmatched_gt)[side]) for part in (matching.dim0, matching.dim1)]
        titles.append(f"{name}: {unmatched[0]} + {unmatched[1]} unmatched")
    contact_sheet([panels], titles, path, width=panels[0].shape[1])


def _features(matching: BettiMatching, side: int) -> Iterator[_Feature]:
    """Yield the features of one image; holes are entered at their death pixel, components at their birth pixel."""
    parts: tuple[DimensionMatching, ...] = (matching.dim0, matching.dim1)
    number = 0
    for dimension, part in enumerate(parts):
        matched: Intervals = (part.matched_pred, part.matched_gt)[side]
        unmatched: Intervals = (part.unmatched_pred, part.unmatched_gt)[side]
        for intervals, paired in ((matched, True), (unmatched, False)):
            cells = intervals.death_cells if dimension else intervals.birth_cells
            for birth, death, cell in zip(intervals.births, intervals.deaths, cells, strict=True):
                colour = _colour(number) if paired else UNMATCHED
                number += paired
                if cell >= 0:
                    yield _Feature(dimension, float(birth), float(death), int(cell), colour, paired)


def _colour(number: int) -> tuple[int, int, int]:
    """Return the colour of a matched pair: hues a golden angle apart, without the reds of `UNMATCHED`."""
    hue = 0.13 + 0.78 * (number * 0.6180339887 % 1)
    lightness = (0.45, 0.6, 0.72)[number % 3]
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, 0.75)
    return round(red * 255), round(green * 255), round(blue * 255)


def _panel(
    values: NDArray[np.float64], features: list[_Feature], essential: int, superlevel: bool
) -> NDArray[np.uint8]:
    """Draw one image, ``(h, w, 3)`` uint8, enlarged by a whole factor."""
    low, high = min(0.0, values.min()), max(1.0, values.max())
    grey = (20 + 60 * (values - low) / (high - low)).round().astype(np.uint8)
    canvas = np.repeat(grey[..., None], 3, axis=2)
    regions = _Regions(values if superlevel else -values, 1 if superlevel else -1)
    first = values.ravel()[essential]
    if first > values.min() if superlevel else first < values.max():
        canvas[regions.last_component(essential)] = ESSENTIAL
    found = sorted(((regions.of(feature), feature) for feature in features), key=lambda item: -int(item[0].sum()))
    diagonals = np.add.outer(np.arange(values.shape[0]), np.arange(values.shape[1])) % 3 > 0
    for region, feature in found:
        canvas[region & diagonals if feature.dimension else region] = feature.colour
    factor = max(1, round(PANEL / values.shape[1]))
    large = canvas.repeat(factor, axis=0).repeat(factor, axis=1)
    return _circled(large, [region for region, feature in found if not feature.matched], factor)


class _Regions:
    """Where features are, in superlevel wording; labelled images are kept, since masks need one of each kind only."""

    def __init__(self, values: NDArray[np.float64], sign: int) -> None:
        self.values, self.sign = values, sign
        self.labels: dict[tuple[int, float], NDArray[np.int32]] = {}

    def of(self, feature: _Feature) -> NDArray[np.bool_]:
        """Return the pixels of a feature, ``(H, W)`` bool."""
        level = self.sign * (feature.birth if feature.dimension else feature.death)
        return self._around(feature.dimension, level, feature.cell)

    def last_component(self, cell: int) -> NDArray[np.bool_]:
        """Return what the essential component is of the foreground: all above the lowest value."""
        return self._around(0, float(self.values.min()), cell)

    def _around(self, dimension: int, level: float, cell: int) -> NDArray[np.bool_]:
        labels = self.labels.get((dimension, level))
        if labels is None:
            from scipy.ndimage import label

            inside = self.values < level if dimension else self.values > level
            neighbours = np.ones((3, 3)) if dimension else None
            labels = label(inside, neighbours)[0]
            if len(self.labels) < 8:  # masks have one level; a float image's are rarely asked for twice
                self.labels[dimension, level] = labels
        number = labels.ravel()[cell]
        found: NDArray[np.bool_] = (labels == number) & (number > 0)
        return found


def _circled(canvas: NDArray[np.uint8], regions: list[NDArray[np.bool_]], factor: int) -> NDArray[np.uint8]:
    from PIL import Image, ImageDraw

    picture = Image.fromarray(canvas)
    draw: Any = ImageDraw.Draw(picture)
    for region in regions:
        rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
        if not len(rows):
            continue
        left, right = factor * columns[0] - RIM, factor * (columns[-1] + 1) + RIM
        top, bottom = factor * rows[0] - RIM, factor * (rows[-1] + 1) + RIM
        draw.ellipse([left, top, right, bottom], outline=CIRCLE, width=2)
    return np.array(picture)
