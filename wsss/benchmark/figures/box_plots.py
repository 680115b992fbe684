"""Box plots in small panels: a panel per group of images, a box per loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.io.text.printable import printable
from wsss.viz.drawing.figures import COLOURS, INK, MUTED, house_style, label_width, panel_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

ROW_HEIGHT = 0.23
"""Inches."""


@dataclass(frozen=True)
class Panel:
    """One group of images: its name, and the scores of each loss, without NaN."""

    title: str
    values: tuple[NDArray[np.float64], ...]


@dataclass(frozen=True)
class BoxChart:
    """Panels with the same rows.

    Args:
        subtitle: the values, and their better direction.
        rows: name of each loss.
        base: the reference row; its boxes have another colour.
        panels: one per group.
    """

    title: str
    subtitle: str
    rows: tuple[str, ...]
    base: str
    panels: tuple[Panel, ...]


def draw_boxes(chart: BoxChart) -> Figure:
    """Draw Tukey's box plots (whiskers up to 1.5 interquartile ranges, no outliers), with a circle at the mean.

    Each panel has its own scale, since groups differ by orders of magnitude.
    """
    with house_style():
        figure, axes = panel_grid(
            chart.title,
            chart.subtitle,
            max(1, len(chart.panels)),
            across=4,
            size=(1.85, ROW_HEIGHT * len(chart.rows)),
            gap=(0.2, 0.6),
            left=label_width(chart.rows),
        )
        for number, (ax, panel) in enumerate(zip(axes, chart.panels, strict=False)):
            _draw_panel(ax, panel, chart, labels=number % 4 == 0)
    return figure


def describe(chart: BoxChart) -> str:
    """Return the chart in words: the medians of each group."""
    return f"{chart.title}. {chart.subtitle} Medians by group. " + "; ".join(
        f"{panel.title}: " + ", ".join(_medians(chart.rows, panel.values)) for panel in chart.panels
    )


def _medians(rows: Sequence[str], values: Sequence[NDArray[np.float64]]) -> list[str]:
    return [f"{name} {np.median(scores):.4g}" for name, scores in zip(rows, values, strict=True) if len(scores)]


def _draw_panel(ax: Axes, panel: Panel, chart: BoxChart, *, labels: bool) -> None:
    from matplotlib.cbook import boxplot_stats

    ax.set_title(printable(panel.title))
    ax.set_yticks(range(len(chart.rows)), list(map(printable, chart.rows)) if labels else [])
    ax.set_ylim(len(chart.rows) - 0.5, -0.5)  # the first loss on top
    ax.grid(axis="y", visible=False)
    ax.locator_params(axis="x", nbins=4)
    for row, (name, values) in enumerate(zip(chart.rows, panel.values, strict=True)):
        if not len(values):
            continue
        colour = COLOURS[1] if name == chart.base else COLOURS[0]
        line: dict[str, Any] = {"color": colour, "linewidth": 1.0}
        ax.bxp(
            boxplot_stats(values),
            positions=[row],
            widths=0.6,
            orientation="horizontal",
            manage_ticks=False,
            patch_artist=True,
            showcaps=False,
            showfliers=False,
            boxprops={"facecolor": (colour, 0.22), "edgecolor": colour, "linewidth": 1.0},
            whiskerprops=line,
            medianprops={"color": INK, "linewidth": 1.6},
        )
    rows = [row for row, values in enumerate(panel.values) if len(values)]
    means = [panel.values[row].mean() for row in rows]
    ax.plot(means, rows, "o", markersize=4, markerfacecolor="white", markeredgecolor=INK, zorder=5)
    if not rows:
        ax.text(0.5, 0.5, "no results", transform=ax.transAxes, ha="center", color=MUTED)
        ax.set_xticks([])
