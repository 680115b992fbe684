"""The topology view's pictures of one mask and its label: matched features in one colour, the others marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from wsss.viz.drawing.matched_regions import UNMATCHED, Feature, Regions, features_of, hatched
from wsss.viz.report.thumbnails import Detail, fit, indexed_png, png_uri

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.topology import BettiMatching

FOUND, SPURIOUS, MISSED = (0, 158, 115), UNMATCHED, (86, 180, 233)
"""Okabe and Ito's green, vermilion and sky blue, which those who don't see red and green apart can tell."""


@dataclass(frozen=True)
class Mark:
    """A feature without a partner: in which panel, what it is, and the box around it in pixels (left, top, w, h)."""

    number: int
    panel: Literal["prediction", "label"]
    name: str
    pixels: int
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Panel:
    """One picture: a layer over the photograph, both as data addresses."""

    title: str
    caption: str
    layer: str


def matching_panels(
    matching: BettiMatching, masks: tuple[NDArray[np.bool_], NDArray[np.bool_]], detail: Detail
) -> tuple[list[Panel], list[Mark]]:
    """Return a panel each for prediction and label, matched pairs in one colour, and all features without a partner.

    Args:
        matching: of the masks.
        masks: prediction and label, ``(H, W)``.
        detail: how fine the pictures are.
    """
    panels: list[Panel] = []
    marks: list[Mark] = []
    for side, mask in enumerate(masks):
        title: Literal["prediction", "label"] = "label" if side else "prediction"
        layer, found = _painted(mask, list(features_of(matching, side)), title, len(marks))
        marks += found
        parts = (matching.dim0, matching.dim1)
        alone = [len(part.unmatched_gt if side else part.unmatched_pred) for part in parts]
        caption = f"{alone[0]} components and {alone[1]} holes without a partner"
        panels.append(Panel(title, caption, _layer_uri(layer, detail)))
    return panels, marks


def _painted(
    values: NDArray[np.bool_], features: list[Feature], panel: Literal["prediction", "label"], first: int
) -> tuple[NDArray[np.uint8], list[Mark]]:
    """Paint features on a transparent layer ``(H, W, 4)``; matched pairs have one colour on both sides."""
    layer = np.zeros((*values.shape, 4), np.uint8)
    layer[values] = (150, 150, 150, 170)
    regions = Regions(values.astype(np.float64), 1)
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


def centreline_panel(pred: NDArray[np.bool_], gt: NDArray[np.bool_], detail: Detail) -> Panel:
    """Return what clDice counts: centrelines of one mask that the other covers, or doesn't."""
    from wsss.topology.skeletons import skeleton

    of_pred, of_gt = skeleton(pred), skeleton(gt)
    layer = np.zeros((*pred.shape, 4), np.uint8)
    layer[pred & gt] = (150, 150, 150, 110)
    parts = ((of_pred & gt, FOUND), (of_pred & ~gt, SPURIOUS), (of_gt & ~pred, MISSED))
    for lines, colour in parts:
        layer[_thickened(lines)] = (*colour, 255)
    spurious, missed = int(parts[1][0].sum()), int(parts[2][0].sum())
    shares = [
        f"{count / total:.0%}" if total else "none"
        for count, total in ((spurious, of_pred.sum()), (missed, of_gt.sum()))
    ]
    caption = f"{shares[0]} of the prediction's centreline is spurious, {shares[1]} of the label's is missed"
    return Panel("centrelines", caption, _layer_uri(layer, detail))


def _layer_uri(layer: NDArray[np.uint8], detail: Detail) -> str:
    """Return a layer as a data address, at most twice as large as photographs are: thin lines have to stay."""
    from PIL import Image

    height, width = fit(layer.shape[:2], 2 * detail.side)
    if (height, width) != layer.shape[:2]:
        layer = np.asarray(Image.fromarray(layer).resize((width, height), Image.Resampling.NEAREST))
    return png_uri(indexed_png(layer))


def _thickened(lines: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Make lines two pixels wide, so that they are seen."""
    thick = lines.copy()
    thick[1:] |= lines[:-1]
    thick[:, 1:] |= lines[:, :-1]
    return thick
