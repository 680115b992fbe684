"""The pictures of the topology view: matched features in one colour on both sides, unmatched ones marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from wsss.errors import counted
from wsss.io.rasters.working_size import working_size
from wsss.viz.drawing.matched_regions import UNMATCHED, Feature, Regions, features_of, hatched
from wsss.viz.report.pictures.thumbnails import Detail, indexed_png, png_uri

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from wsss.topology import BettiMatching

CORRECT, SPURIOUS, MISSED = (0, 158, 115), UNMATCHED, (86, 180, 233)
"""Okabe and Ito's green, vermilion and sky blue: colour-blind safe."""

Side = Literal["prediction", "label"]
SIDES: tuple[Side, Side] = ("prediction", "label")


@dataclass(frozen=True)
class Mark:
    """An unmatched feature: its panel, its kind, and its bounding box in pixels (left, top, width, height)."""

    number: int
    panel: Side
    name: str
    pixels: int
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Panel:
    """One picture: a layer over the photograph, as a data URI."""

    title: str
    caption: str
    layer: str


def matching_panels(
    matching: BettiMatching, masks: tuple[NDArray[np.bool_], NDArray[np.bool_]], detail: Detail
) -> tuple[list[Panel], list[Mark]]:
    """Return the panels of prediction and label, and all unmatched features.

    Args:
        masks: prediction and label, ``(H, W)``.
    """
    panels: list[Panel] = []
    marks: list[Mark] = []
    for side, (title, mask) in enumerate(zip(SIDES, masks, strict=True)):
        layer, unmatched = _painted(mask, features_of(matching, side), title, len(marks))
        marks += unmatched
        components, holes = (
            len(part.unmatched_gt if side else part.unmatched_pred) for part in (matching.dim0, matching.dim1)
        )
        caption = f"{counted(components, 'unmatched component')}, {counted(holes, 'unmatched hole')}"
        panels.append(Panel(title, caption, _layer_uri(layer, detail)))
    return panels, marks


def centreline_panel(pred: NDArray[np.bool_], gt: NDArray[np.bool_], detail: Detail) -> Panel:
    """Return the terms of clDice: centrelines of each mask that the other one covers or misses."""
    from wsss.topology.skeletons import skeleton

    pred_lines, gt_lines = skeleton(pred), skeleton(gt)
    spurious, missed = pred_lines & ~gt, gt_lines & ~pred
    layer = np.zeros((*pred.shape, 4), np.uint8)
    layer[pred & gt] = (150, 150, 150, 110)
    for lines, colour in ((pred_lines & gt, CORRECT), (spurious, SPURIOUS), (missed, MISSED)):
        layer[_thickened(lines)] = (*colour, 255)
    shares = [
        f"{part.sum() / total:.0%}" if (total := lines.sum()) else "none"
        for part, lines in ((spurious, pred_lines), (missed, gt_lines))
    ]
    caption = f"{shares[0]} of the prediction's centreline is spurious, {shares[1]} of the label's is missed"
    return Panel("centrelines", caption, _layer_uri(layer, detail))


def _painted(
    mask: NDArray[np.bool_], features: Iterable[Feature], panel: Side, first: int
) -> tuple[NDArray[np.uint8], list[Mark]]:
    """Paint features on a transparent layer ``(H, W, 4)``; return it with the unmatched ones."""
    layer = np.zeros((*mask.shape, 4), np.uint8)
    layer[mask] = (150, 150, 150, 170)
    regions = Regions(mask.astype(np.float64), 1)
    marks: list[Mark] = []
    for feature in features:
        region = regions.of(feature)
        pixels = int(region.sum())
        if not pixels:
            continue
        layer[hatched(region, 4) if feature.dimension else region] = (*feature.colour, 235)
        if feature.pair is None:
            rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
            left, top = int(columns[0]), int(rows[0])
            box = (left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top)
            name = "hole" if feature.dimension else "component"
            marks.append(Mark(first + len(marks), panel, name, pixels, box))
    return layer, marks


def _layer_uri(layer: NDArray[np.uint8], detail: Detail) -> str:
    """Return a layer as a data URI, at up to twice the resolution of photographs, to keep thin lines."""
    from PIL import Image

    height, width = working_size(layer.shape[:2], 2 * detail.side)
    if (height, width) != layer.shape[:2]:
        layer = np.asarray(Image.fromarray(layer).resize((width, height), Image.Resampling.NEAREST))
    return png_uri(indexed_png(layer))


def _thickened(lines: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Make lines two pixels wide, for visibility."""
    thick = lines.copy()
    thick[1:] |= lines[:-1]
    thick[:, 1:] |= lines[:, :-1]
    return thick
