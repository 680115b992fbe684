"""A Betti matching as a picture: matched features in one colour on both images, unmatched ones circled."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput, counted
from wsss.io.files.atomic import write_text
from wsss.viz.drawing.formatting import escape
from wsss.viz.drawing.matched_regions import Feature, Regions, features_of, hatched, select_features
from wsss.viz.drawing.overlay import contact_sheet
from wsss.viz.drawing.palette import hex_colour

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from wsss.topology import BettiMatching

PANEL = 640
"""Width of a column; smaller images are enlarged by an integer factor to about this longer side."""

MOST = 300
"""Maximum number of features drawn per image; more would hide the small ones."""

CIRCLE = (255, 255, 255)
ESSENTIAL = (170, 170, 170)
RIM = 6
"""Pixels between a feature and its circle."""

PLOTS = (".png", ".svg")
"""File name suffixes of the supported formats."""

FONT_SIZE = 20
"""Font size of the headings in pixels; leaves room for the number of drawn features."""

GAP, HEADING = 8, 44
"""Space in the SVG in pixels: between the panels, and above them for the headings."""


@dataclass(frozen=True)
class Panel:
    """One of the two images.

    Args:
        canvas: ``(H, W, 3)`` uint8, the image with its features painted in.
        factor: how many times it is enlarged.
        circles: boxes (left, top, right, bottom) of the unmatched features, in the enlarged image's pixels.
    """

    title: str
    canvas: NDArray[np.uint8]
    factor: int
    circles: tuple[tuple[int, int, int, int], ...]


def check_plot(path: Path) -> None:
    """Validate the file name of a plot.

    Raises:
        InvalidInput: its suffix is neither ``.png`` nor ``.svg``.
    """
    if path.suffix.lower() not in PLOTS:
        raise InvalidInput(
            "unsupported format", subject="--plot", allowed="a file name ending with .png or .svg", found=path
        )


def draw_matching(pred: ArrayLike, gt: ArrayLike, matching: BettiMatching, path: Path) -> None:
    """Write prediction and label side by side as PNG or SVG, with the features of their matching painted in.

    A component is painted with its extent just before its death, a hole (hatched) just before it is filled. Each
    matched pair has its own colour on both sides; unmatched features are vermilion, circled in white, and counted in
    the heading. The essential component is grey unless it is matched. Features outside the image
    (of a frame) are not drawn. At most `MOST` features are drawn per image, see
    `wsss.viz.drawing.matched_regions.select_features`; the heading gives the number if some are omitted.

    Args:
        pred: ``(H, W)`` prediction.
        gt: ``(H, W)`` label.
        matching: matching of these two, in either filtration.
        path: the file to write, with a suffix in `PLOTS`; equal input gives equal bytes.

    Raises:
        InvalidInput: any other suffix.
    """
    check_plot(path)
    panels = []
    features = [list(features_of(matching, side)) for side in (0, 1)]
    drawn = select_features(features, MOST)
    for name, image, side in (("prediction", pred, 0), ("label", gt, 1)):
        values = np.asarray(image, np.float64)
        bars = (matching.pred, matching.gt)[side]
        superlevel = bool(bars.essential.deaths[0] < 0)
        unmatched = [len((part.unmatched_pred, part.unmatched_gt)[side]) for part in (matching.dim0, matching.dim1)]
        title = f"{name}: {counted(unmatched[0], 'component')}, {counted(unmatched[1], 'hole')} unmatched"
        if len(drawn[side]) < len(features[side]):
            title += f" ({len(drawn[side])}/{len(features[side])} drawn)"
        panels.append(_panel(title, values, drawn[side], int(bars.essential.birth_indices[0]), superlevel))
    if path.suffix.lower() == ".svg":
        write_text(path, _svg(panels))
    else:
        large = [_circled(panel) for panel in panels]
        contact_sheet([large], [panel.title for panel in panels], path, width=large[0].shape[1], font_size=FONT_SIZE)


def _panel(title: str, values: NDArray[np.float64], features: list[Feature], essential: int, superlevel: bool) -> Panel:
    """Paint the features into one image."""
    low, high = min(0.0, values.min()), max(1.0, values.max())
    grey = (20 + 60 * (values - low) / (high - low)).round().astype(np.uint8)
    canvas = np.repeat(grey[..., None], 3, axis=2)
    regions = Regions(values if superlevel else -values, 1 if superlevel else -1)
    first = values.ravel()[essential]
    if first > values.min() if superlevel else first < values.max():
        canvas[regions.last_component(essential)] = ESSENTIAL
    painted = sorted(((regions.of(feature), feature) for feature in features), key=lambda item: -int(item[0].sum()))
    for region, feature in painted:
        canvas[hatched(region, 3) if feature.dimension else region] = feature.colour
    factor = max(1, round(PANEL / max(values.shape)))
    unmatched = (region for region, feature in painted if feature.pair is None)
    circles = tuple(_around(region, factor) for region in unmatched if region.any())
    return Panel(title, canvas, factor, circles)


def _around(region: NDArray[np.bool_], factor: int) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    left, right = factor * int(columns[0]) - RIM, factor * (int(columns[-1]) + 1) + RIM
    top, bottom = factor * int(rows[0]) - RIM, factor * (int(rows[-1]) + 1) + RIM
    return left, top, right, bottom


def _circled(panel: Panel) -> NDArray[np.uint8]:
    """Return the enlarged image with its circles, ``(h, w, 3)`` uint8, padded with white to the width of a heading."""
    from PIL import Image, ImageDraw

    large = panel.canvas.repeat(panel.factor, axis=0).repeat(panel.factor, axis=1)
    picture = Image.new("RGB", (max(PANEL, large.shape[1]), large.shape[0]), "white")
    picture.paste(Image.fromarray(large))
    draw: Any = ImageDraw.Draw(picture)
    for box in panel.circles:
        draw.ellipse(box, outline=CIRCLE, width=2)
    return np.array(picture)


def _svg(panels: Sequence[Panel]) -> str:
    """Return the panels side by side as SVG: the images as pixels, headings and circles as shapes."""
    heights = [panel.canvas.shape[0] * panel.factor for panel in panels]
    widths = [panel.canvas.shape[1] * panel.factor for panel in panels]
    columns = [max(PANEL, wide) for wide in widths]
    width, height = GAP + sum(column + GAP for column in columns), HEADING + max(heights) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape("; ".join(panel.title for panel in panels))}">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    left = GAP
    for panel, column, wide, high in zip(panels, columns, widths, heights, strict=True):
        parts.append(
            f'<svg x="{left}" y="0" width="{column}" height="{height}" viewBox="0 {-HEADING} {column} {height}">'
            f'<text y="{-HEADING // 3}" font-family="sans-serif" font-size="{FONT_SIZE}" '
            f">{escape(panel.title)}</text>"
            f'<image width="{wide}" height="{high}" preserveAspectRatio="none" style="image-rendering: pixelated" '
            f'href="data:image/png;base64,{_png(panel.canvas)}"/>'
        )
        for x, y, right, bottom in panel.circles:
            parts.append(
                f'<ellipse cx="{(x + right) / 2:g}" cy="{(y + bottom) / 2:g}" rx="{(right - x) / 2:g}" '
                f'ry="{(bottom - y) / 2:g}" fill="none" stroke="{hex_colour(np.array(CIRCLE))}" stroke-width="2"/>'
            )
        parts.append("</svg>")
        left += column + GAP
    return "".join(parts) + "</svg>\n"


def _png(pixels: NDArray[np.uint8]) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()
