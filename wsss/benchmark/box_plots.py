"""Box plots in small panels as one SVG: a panel per group of images, a box per loss, drawn as our own elements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from wsss.errors import counted
from wsss.viz.drawing.charts import nice_ticks
from wsss.viz.drawing.curves import STYLE
from wsss.viz.drawing.formatting import escape

if TYPE_CHECKING:
    from numpy.typing import NDArray

ACROSS = 4
"""Panels beside each other."""

WIDTH, GAP = 178, 36
LINE, HEAD, FOOT, TOP = 19, 26, 30, 52
RULES = """
.boxes .paper { fill: var(--bg); }
.boxes text { fill: var(--ink); font-size: 12.5px; }
.boxes .head { font-size: 15px; font-weight: 650; }
.boxes .panel { font-weight: 650; }
.boxes .muted, .boxes .tick { fill: var(--muted); font-size: 11px; }
.boxes .grid { stroke: var(--line); stroke-width: 1; }
.boxes .box { fill: var(--s0); fill-opacity: .22; stroke: var(--s0); stroke-width: 1.2; }
.boxes .base .box { fill: var(--s1); stroke: var(--s1); }
.boxes .whisker { stroke: var(--s0); stroke-width: 1.2; }
.boxes .base .whisker { stroke: var(--s1); }
.boxes .median { stroke: var(--ink); stroke-width: 2; }
.boxes .mean { fill: var(--bg); stroke: var(--ink); stroke-width: 1.3; }
"""


@dataclass(frozen=True)
class Box:
    """Quartiles, the last values within 1.5 times their distance, and the mean, of ``count`` values."""

    low: float
    quartiles: tuple[float, float, float]
    high: float
    mean: float
    count: int


@dataclass(frozen=True)
class Panel:
    """One group of images: its name, and a box per loss (``None`` without a value)."""

    title: str
    boxes: tuple[Box | None, ...]


@dataclass(frozen=True)
class BoxChart:
    """Panels with the same rows.

    Args:
        title: heading.
        subtitle: what the values are, and which way is better.
        rows: name of each loss.
        base: the row that others are compared with; its boxes have another colour.
        panels: one per group.
    """

    title: str
    subtitle: str
    rows: tuple[str, ...]
    base: str
    panels: tuple[Panel, ...]


def box_of(values: NDArray[np.float64]) -> Box | None:
    """Return the box of some values ``(N,)``, NaN left out; ``None`` if there is none (Tukey's box plot)."""
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    first, median, third = (float(one) for one in np.percentile(values, [25, 50, 75]))
    reach = 1.5 * (third - first)
    inside = values[(values >= first - reach) & (values <= third + reach)]
    low, high = min(float(inside.min()), first), max(float(inside.max()), third)
    return Box(low, (first, median, third), high, float(values.mean()), len(values))


def draw_boxes(chart: BoxChart) -> str:
    """Return the chart as an SVG file that needs nothing else; light and dark as the viewer prefers.

    Each panel has a scale of its own, since groups differ by orders of magnitude. A circle is the mean.
    """
    across = min(ACROSS, len(chart.panels)) or 1
    down = -(-len(chart.panels) // across)
    tall = HEAD + LINE * len(chart.rows) + FOOT
    gutter = gutter_for(chart.rows)
    width, height = gutter + across * (WIDTH + GAP), TOP + down * tall
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="boxes" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{escape(describe(chart))}"><style>{STYLE}{RULES}</style>',
        f'<rect class="paper" width="{width}" height="{height}"/>',
        f'<text class="head" x="12" y="22">{escape(chart.title)}</text>',
        f'<text class="muted" x="12" y="40">{escape(chart.subtitle)}</text>',
    ]
    for place, panel in enumerate(chart.panels):
        left, top = gutter + place % across * (WIDTH + GAP), TOP + place // across * tall
        if place % across == 0:
            parts += _names(chart.rows, gutter, top)
        parts += _panel(panel, chart, left, top)
    return str(Markup("".join(parts) + "</svg>\n"))


def describe(chart: BoxChart) -> str:
    """Return the chart in words: each group's medians."""
    groups = []
    for panel in chart.panels:
        medians = [
            f"{name} {box.quartiles[1]:.4g}"
            for name, box in zip(chart.rows, panel.boxes, strict=True)
            if box is not None
        ]
        groups.append(f"{panel.title}: {', '.join(medians)}")
    return f"{chart.title}. {chart.subtitle} Medians by group. {'; '.join(groups)}"


def gutter_for(names: Iterable[str]) -> int:
    """Return the width in pixels that the names of rows need, left of their bars."""
    return max(60, 26 + 8 * max(map(len, names), default=0))


def _names(rows: Sequence[str], gutter: float, top: float) -> list[str]:
    return [
        f'<text x="{gutter - 10}" y="{_middle(place, top) + 4:.1f}" text-anchor="end">{escape(name)}</text>'
        for place, name in enumerate(rows)
    ]


def _middle(place: int, top: float) -> float:
    return top + HEAD + LINE * (place + 0.5)


def _panel(panel: Panel, chart: BoxChart, left: float, top: float) -> list[str]:
    found = [box for box in panel.boxes if box is not None]
    bottom = top + HEAD + LINE * len(chart.rows)
    parts = [f'<text class="panel" x="{left}" y="{top + 17}">{escape(panel.title)}</text>']
    if not found:
        return [*parts, f'<text class="muted" x="{left}" y="{top + HEAD + 14}">no results</text>']
    low, high = min(min(box.low, box.mean) for box in found), max(max(box.high, box.mean) for box in found)
    ticks = nice_ticks(low, high, count=3)

    def x(value: float) -> float:
        return left + (value - ticks[0]) / (ticks[-1] - ticks[0]) * WIDTH

    for tick in ticks:
        parts.append(f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{top + HEAD}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{x(tick):.1f}" y="{bottom + 14}" text-anchor="middle">{tick:.6g}</text>')
    for place, (name, box) in enumerate(zip(chart.rows, panel.boxes, strict=True)):
        if box is None:
            continue
        y, half = _middle(place, top), LINE * 0.34
        first, median, third = (x(value) for value in box.quartiles)
        told = f"{name}, {panel.title}: median {box.quartiles[1]:.4g}, quartiles {box.quartiles[0]:.4g} and "
        told += f"{box.quartiles[2]:.4g}, mean {box.mean:.4g}, {counted(box.count, 'value')}"
        kind = ' class="base"' if name == chart.base else ""
        parts.append(
            f"<g{kind}><title>{escape(told)}</title>"
            f'<line class="whisker" x1="{x(box.low):.1f}" x2="{x(box.high):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<rect class="box" x="{first:.1f}" y="{y - half:.1f}" width="{max(third - first, 0.8):.1f}" '
            f'height="{2 * half:.1f}"/>'
            f'<line class="median" x1="{median:.1f}" x2="{median:.1f}" y1="{y - half:.1f}" y2="{y + half:.1f}"/>'
            f'<circle class="mean" cx="{x(box.mean):.1f}" cy="{y:.1f}" r="3"/></g>'
        )
    return parts
