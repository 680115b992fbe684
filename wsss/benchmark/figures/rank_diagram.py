"""Mean ranks with their critical difference: two losses differ significantly where their bars do not overlap.

The same content as the diagram of Demšar (JMLR 2006): the bars are as long as the critical difference, so two of them
overlap exactly where two mean ranks are closer than it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsss.benchmark.ranking import ImageRanks
from wsss.errors import counted
from wsss.io.text.printable import printable
from wsss.viz.drawing.figures import COLOURS, MUTED, house_style, label_width, panel_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW_HEIGHT = 0.22
"""Inches."""

CAPTION = (
    "Mean rank over images, 1 is best. Losses with overlapping bars do not differ significantly (Nemenyi, .05); "
    "band: the best loss."
)


@dataclass(frozen=True)
class RankPanel:
    """One diagram: its title and the ranks, ``None`` where there is nothing to rank."""

    title: str
    ranks: ImageRanks | None


@dataclass(frozen=True)
class RankChart:
    """Diagrams in rows of two; ``base`` is the reference loss, drawn in another colour."""

    title: str
    base: str
    panels: tuple[RankPanel, ...]


def draw_ranks(chart: RankChart) -> Figure:
    """Draw a diagram per panel, all with the same scale, the best loss on top."""
    known = [panel.ranks for panel in chart.panels if panel.ranks]
    count = max((len(ranks.ranks) for ranks in known), default=1)
    ends = [rank + side * ranks.critical / 2 for ranks in known for rank in ranks.ranks.values() for side in (-1, 1)]
    limits = min([1.0, *ends]) - 0.2, max([float(count), *ends]) + 0.2
    left = label_width(loss for ranks in known for loss in ranks.ranks)
    with house_style():
        figure, axes = panel_grid(
            chart.title,
            CAPTION,
            max(1, len(chart.panels)),
            across=2,
            size=(2.9, ROW_HEIGHT * count),
            gap=(left + 0.2, 0.75),
            left=left,
        )
        for ax, panel in zip(axes, chart.panels, strict=False):
            ax.set(xlim=limits, xticks=range(1, count + 1), ylim=(count - 0.5, -0.5))
            _draw_panel(ax, panel, chart.base)
    return figure


def describe(chart: RankChart) -> str:
    """Return the chart in words: the order of the losses in each diagram."""
    orders = [
        f"{panel.title}: {', '.join(f'{loss} {rank:.2f}' for loss, rank in _in_order(panel.ranks))}; "
        f"critical difference {panel.ranks.critical:.2f}"
        for panel in chart.panels
        if panel.ranks is not None
    ]
    return f"{chart.title}. Mean ranks. " + ". ".join(orders)


def _in_order(ranks: ImageRanks) -> list[tuple[str, float]]:
    return sorted(ranks.ranks.items(), key=lambda item: item[1])


def _draw_panel(ax: Axes, panel: RankPanel, base: str) -> None:
    ax.grid(axis="y", visible=False)
    if panel.ranks is None:
        ax.set_title(panel.title)
        ax.set_yticks([])
        ax.text(0.5, 0.5, "nothing to rank", transform=ax.transAxes, ha="center", color=MUTED)
        return
    ranks, half = panel.ranks, panel.ranks.critical / 2
    note = f"{counted(ranks.images, 'image')}, critical difference {ranks.critical:.2f}"
    ax.set_title(panel.title, pad=18)
    ax.annotate(note, (0, 1), (0, 5), "axes fraction", "offset points", fontsize=8, color=MUTED)
    order = _in_order(ranks)
    ax.axvspan(order[0][1] - half, order[0][1] + half, facecolor=(COLOURS[2], 0.14), linewidth=0)
    for row, (loss, rank) in enumerate(order):
        colour = COLOURS[1] if loss == base else COLOURS[0]
        ax.hlines(row, rank - half, rank + half, color=(colour, 0.38), linewidth=5)
        ax.plot([rank], [row], "o", color=colour, markersize=5)
    ax.set_yticks(range(len(order)), [printable(loss) for loss, _ in order])
