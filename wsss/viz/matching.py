"""A Betti matching as a picture: what belongs together in one colour on both images, what has no partner circled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.viz.features import Feature, Regions, features_of
from wsss.viz.overlay import contact_sheet

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from wsss.topology import BettiMatching

PANEL = 640
"""Smaller images are enlarged by a whole factor to about this width."""

MOST = 300
"""Features drawn per image, those that persist longest; smaller ones wouldn't be seen among so many."""

CIRCLE = (255, 255, 255)
ESSENTIAL = (170, 170, 170)
RIM = 6
"""Pixels between a feature and its circle."""


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
        features = sorted(features_of(matching, side), key=lambda feature: -feature.length)[:MOST]
        panels.append(_panel(values, features, int(bars.essential.birth_cells[0]), superlevel))
        unmatched = [len((part.unmatched_pred, part.unmatched_gt)[side]) for part in (matching.dim0, matching.dim1)]
        titles.append(f"{name}: {unmatched[0]} + {unmatched[1]} unmatched")
    contact_sheet([panels], titles, path, width=panels[0].shape[1])


def _panel(values: NDArray[np.float64], features: list[Feature], essential: int, superlevel: bool) -> NDArray[np.uint8]:
    """Draw one image, ``(h, w, 3)`` uint8, enlarged by a whole factor."""
    low, high = min(0.0, values.min()), max(1.0, values.max())
    grey = (20 + 60 * (values - low) / (high - low)).round().astype(np.uint8)
    canvas = np.repeat(grey[..., None], 3, axis=2)
    regions = Regions(values if superlevel else -values, 1 if superlevel else -1)
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
