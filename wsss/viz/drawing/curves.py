"""Precision–recall curves of several variants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wsss.io.text.printable import printable
from wsss.viz.drawing.figures import COLOURS, MUTED, EmbeddedPlot, embed_svg, house_style, render

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))
MARKERS = ("o", "s", "^", "D")
FIRST = 0.02
"""Minimum recall drawn: below, classes are predicted nowhere, and their precision drops to 0."""

STANDARD = 0.5
"""The precision at which recalls are compared, drawn as a line."""

LEGEND_WIDTH = 22
"""Longer names are cut in the legend, characters."""


@dataclass(frozen=True)
class Curve:
    """The curve of one variant.

    Args:
        levels: the L thresholds, ascending.
        recall, precision: ``(L,)`` each, in [0, 1].
        mark: (recall, precision) at the best threshold.
        seeds: number of runs averaged.
    """

    name: str
    levels: tuple[float, ...]
    recall: tuple[float, ...]
    precision: tuple[float, ...]
    mark: tuple[float, float]
    seeds: int


@dataclass(frozen=True)
class CurveChart:
    """The curves of one split; the one named ``reference`` is drawn bold."""

    title: str
    split: str
    curves: tuple[Curve, ...]
    reference: str | None = None


def standalone(chart: CurveChart) -> str:
    """Return the chart as an SVG file."""
    return render(draw(chart), describe(chart)).decode()


def embedded(chart: CurveChart) -> EmbeddedPlot:
    """Return the chart for a page."""
    return embed_svg(f"{chart.title}, {chart.split}", standalone(chart))


def draw(chart: CurveChart) -> Figure:
    """Draw the curves, with a mark at the best threshold of each.

    Variants differ in colour, and in dash pattern and marker where colours repeat.
    """
    from matplotlib.figure import Figure

    names = [curve.name for curve in chart.curves]
    with house_style():
        figure = Figure(figsize=(8, max(4.9, 1.7 + 0.22 * len(names))))
        ax = figure.add_axes((0.075, 0.11, 0.63, 0.76))
        figure.suptitle(printable(f"{chart.title} · {chart.split}"), x=0.015, y=0.975, ha="left", va="top")
        stamp = "ORACLE: each point is a threshold, evaluated on the ground truth"
        ax.set_title(stamp, fontsize=8, fontweight="normal", color=MUTED)
        ax.set(xlabel="recall (foreground)", ylabel="precision (foreground)")
        for index, curve in enumerate(chart.curves):
            _draw_curve(ax, curve, index, bold=curve.name == chart.reference)
        standard = ax.get_ylim()[0] < STANDARD < ax.get_ylim()[1]
        if standard:
            ax.axhline(STANDARD, color=MUTED, linewidth=1.2, linestyle=":", zorder=1)
        ax.legend(
            loc="upper left",
            bbox_to_anchor=(1.01, 1.02),
            title="\n".join(_notes(chart, standard)),
            title_fontsize=8,
            alignment="left",
            handlelength=3,
        )
    return figure


def describe(chart: CurveChart) -> str:
    """Return the chart in words: precision and recall of each variant at its best threshold."""
    points = [f"{curve.name} {curve.mark[1]:.3f} and {curve.mark[0]:.3f}" for curve in chart.curves]
    return (
        f"ORACLE. Precision–recall curves of {chart.title} on {chart.split}, foreground classes. "
        f"Precision and recall at the best threshold: {'; '.join(points)}"
    )


def _draw_curve(ax: Axes, curve: Curve, index: int, *, bold: bool) -> None:
    style = index // len(COLOURS) % len(MARKERS)
    points = [(x, y) for x, y in zip(curve.recall, curve.precision, strict=True) if x >= FIRST]
    look: dict[str, Any] = {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": DASHES[style],
        "linewidth": 3.2 if bold else 1.6,
    }
    ax.plot([x for x, _ in points], [y for _, y in points], **look)
    name = curve.name if len(curve.name) <= LEGEND_WIDTH else curve.name[: LEGEND_WIDTH - 1] + "…"
    x, y = curve.mark
    marker: dict[str, Any] = {"marker": MARKERS[style], "markersize": 7, "markeredgecolor": "white"}
    ax.plot([x], [y], label=printable(name), **look, **marker)


def _notes(chart: CurveChart, standard: bool) -> list[str]:
    seeds = max(curve.seeds for curve in chart.curves)
    return [
        "mark: best mIoU",
        *([f"mean of {seeds} seeds"] if seeds > 1 else []),
        *([f"dotted: precision {STANDARD:g}"] if standard else []),
        *([f"bold: {chart.reference}"] if any(curve.name == chart.reference for curve in chart.curves) else []),
    ]
