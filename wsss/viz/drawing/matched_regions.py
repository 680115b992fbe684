"""The features of a Betti matching for drawing: their pixels, colours, and matched pairs."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.topology import BettiMatching, DimensionMatching, Intervals

UNMATCHED = (213, 94, 0)


@dataclass(frozen=True)
class Feature:
    """An interval to draw: dimension, birth, death, a cell inside, and the index of its pair (None if unmatched)."""

    dimension: int
    birth: float
    death: float
    cell: int
    pair: int | None

    @property
    def colour(self) -> tuple[int, int, int]:
        """The colour of the pair, or `UNMATCHED`."""
        return UNMATCHED if self.pair is None else pair_colour(self.pair)

    @property
    def length(self) -> float:
        """Persistence."""
        return abs(self.birth - self.death)


def features_of(matching: BettiMatching, side: int) -> Iterator[Feature]:
    """Yield the features of one image; the cell is the death pixel of a hole, the birth pixel of a component."""
    parts: tuple[DimensionMatching, ...] = (matching.dim0, matching.dim1)
    number = 0
    for dimension, part in enumerate(parts):
        matched: Intervals = (part.matched_pred, part.matched_gt)[side]
        unmatched: Intervals = (part.unmatched_pred, part.unmatched_gt)[side]
        for intervals, paired in ((matched, True), (unmatched, False)):
            cells = intervals.death_indices if dimension else intervals.birth_indices
            for birth, death, cell in zip(intervals.births, intervals.deaths, cells, strict=True):
                if cell >= 0:
                    yield Feature(dimension, float(birth), float(death), int(cell), number if paired else None)
                number += paired


def select_features(sides: Sequence[Sequence[Feature]], limit: int) -> list[list[Feature]]:
    """Select at most ``limit`` features of each image: unmatched ones first, then whole pairs.

    Within each kind, the most persistent come first; the persistence of a pair is that of its longer interval.
    """
    unmatched = ([feature for feature in side if feature.pair is None] for side in sides)
    alone = [sorted(features, key=lambda feature: -feature.length)[:limit] for features in unmatched]
    lengths: dict[int, float] = {}
    for side in sides:
        for feature in side:
            if feature.pair is not None:
                lengths[feature.pair] = max(feature.length, lengths.get(feature.pair, 0.0))
    room = limit - max(map(len, alone))
    pairs = set(sorted(lengths, key=lambda pair: -lengths[pair])[:room])
    return [
        [*first, *(feature for feature in side if feature.pair in pairs)]
        for first, side in zip(alone, sides, strict=True)
    ]


def hatched(region: NDArray[np.bool_], period: int) -> NDArray[np.bool_]:
    """Return a region without every ``period``-th diagonal; unchanged if nothing would remain."""
    rows, columns = np.nonzero(region)
    kept = (rows + columns) % period > 0
    if not kept.any():
        return region
    stripes = np.zeros_like(region)
    stripes[rows[kept], columns[kept]] = True
    return stripes


def pair_colour(number: int) -> tuple[int, int, int]:
    """Return the colour of a matched pair: hues a golden angle apart, without the reds near `UNMATCHED`."""
    hue = 0.13 + 0.78 * (number * 0.6180339887 % 1)
    lightness = (0.45, 0.6, 0.72)[number % 3]
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, 0.75)
    return round(red * 255), round(green * 255), round(blue * 255)


class Regions:
    """The pixels of features, in superlevel terms; caches labelled images, since masks need one per dimension."""

    def __init__(self, values: NDArray[np.float64], sign: int) -> None:
        self.values, self.sign = values, sign
        self.labels: dict[tuple[int, float], NDArray[np.int32]] = {}

    def of(self, feature: Feature) -> NDArray[np.bool_]:
        """Return the pixels of a feature, ``(H, W)`` bool."""
        level = self.sign * (feature.birth if feature.dimension else feature.death)
        return self._component(feature.dimension, level, feature.cell)

    def last_component(self, cell: int) -> NDArray[np.bool_]:
        """Return the foreground part of the essential component: its pixels above the lowest value."""
        return self._component(0, float(self.values.min()), cell)

    def _component(self, dimension: int, level: float, cell: int) -> NDArray[np.bool_]:
        labels = self.labels.get((dimension, level))
        if labels is None:
            from scipy.ndimage import label

            inside = self.values < level if dimension else self.values > level
            neighbours = np.ones((3, 3)) if dimension else None
            labels = label(inside, neighbours)[0]
            if len(self.labels) < 8:  # masks have one level; those of float images rarely repeat
                self.labels[dimension, level] = labels
        number = labels.ravel()[cell]
        region: NDArray[np.bool_] = (labels == number) & (number > 0)
        return region
