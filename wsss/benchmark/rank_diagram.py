"""Mean ranks with their critical difference as one SVG: two losses differ where their bars don't overlap.

It shows what the diagram of Demšar (JMLR 2006) shows: a bar is as long as the critical difference, so that two bars
overlap exactly where two mean ranks are closer than it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from wsss.benchmark.box_plots import gutter_for
from wsss.benchmark.ranking import ImageRanks
from wsss.errors import counted
from wsss.viz.drawing.curves import STYLE
from wsss.viz.drawing.formatting import escape

ACROSS = 2
WIDTH, GAP = 250, 18
LINE, HEAD, FOOT, TOP = 19, 40, 30, 52
RULES = """
.ranks .paper { fill: var(--bg); }
.ranks text { fill: var(--ink); font-size: 12.5px; }
.ranks .head { font-size: 15px; font-weight: 650; }
.ranks .panel { font-weight: 650; }
.ranks .muted, .ranks .tick { fill: var(--muted); font-size: 11px; }
.ranks .grid { stroke: var(--line); stroke-width: 1; }
.ranks .best { fill: var(--s2); fill-opacity: .14; }
.ranks .bar { stroke: var(--s0); stroke-width: 5; stroke-opacity: .38; stroke-linecap: butt; }
.ranks .dot { fill: var(--s0); }
.ranks .base .bar { stroke: var(--s1); } .ranks .base .dot { fill: var(--s1); }
"""


@dataclass(frozen=True)
class RankPanel:
    """One diagram: its title and the ranks, ``None`` where there is nothing to rank."""

    title: str
    ranks: ImageRanks | None


@dataclass(frozen=True)
class RankChart:
    """Diagrams in rows of two; ``base`` is the loss that others are compared with, drawn in another colour."""

    title: str
    base: str
    panels: tuple[RankPanel, ...]


def draw_ranks(chart: RankChart) -> str:
    """Return the chart as an SVG file that needs nothing else; light and dark as the viewer prefers."""
    known = [panel.ranks for panel in chart.panels if panel.ranks]
    most = max((len(ranks.ranks) for ranks in known), default=1)
    reach = [rank + side * ranks.critical / 2 for ranks in known for rank in ranks.ranks.values() for side in (-1, 1)]
    span = (min([1.0, *reach]), max([float(most), *reach]))
    gutter = gutter_for(loss for ranks in known for loss in ranks.ranks)
    tall = HEAD + LINE * most + FOOT
    width, height = ACROSS * (gutter + WIDTH + GAP), TOP + -(-len(chart.panels) // ACROSS) * tall
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ranks" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{escape(describe(chart))}"><style>{STYLE}{RULES}</style>',
        f'<rect class="paper" width="{width}" height="{height}"/>',
        f'<text class="head" x="12" y="22">{escape(chart.title)}</text>',
        '<text class="muted" x="12" y="40">Mean rank over images, 1 is best. Losses whose bars overlap don\'t differ '
        "significantly (Nemenyi, .05); the band is the best one's.</text>",
    ]
    for place, panel in enumerate(chart.panels):
        left, top = place % ACROSS * (gutter + WIDTH + GAP), TOP + place // ACROSS * tall
        parts += _panel(panel, chart.base, span, left + 12, left + gutter, top)
    return str(Markup("".join(parts) + "</svg>\n"))


def describe(chart: RankChart) -> str:
    """Return the chart in words: each diagram's order."""
    told = []
    for panel in chart.panels:
        if panel.ranks is not None:
            order = ", ".join(f"{loss} {rank:.2f}" for loss, rank in _in_order(panel.ranks))
            told.append(f"{panel.title}: {order}; critical difference {panel.ranks.critical:.2f}")
    return f"{chart.title}. Mean ranks. " + ". ".join(told)


def _in_order(ranks: ImageRanks) -> Sequence[tuple[str, float]]:
    return sorted(ranks.ranks.items(), key=lambda item: item[1])


def _panel(panel: RankPanel, base: str, span: tuple[float, float], start: float, left: float, top: float) -> list[str]:
    parts = [f'<text class="panel" x="{start}" y="{top + 16}">{escape(panel.title)}</text>']
    ranks = panel.ranks
    if ranks is None:
        return [*parts, f'<text class="muted" x="{start}" y="{top + 32}">nothing to rank</text>']
    parts.append(
        f'<text class="muted" x="{start}" y="{top + 31}">{counted(ranks.images, "image")}, critical difference '
        f"{ranks.critical:.2f}</text>"
    )
    most, half = len(ranks.ranks), ranks.critical / 2

    def x(rank: float) -> float:
        return left + (rank - span[0]) / (span[1] - span[0]) * WIDTH

    order = _in_order(ranks)
    first, bottom = top + HEAD, top + HEAD + LINE * most
    best = order[0][1]
    parts.append(
        f'<rect class="best" x="{x(best - half):.1f}" y="{first}" width="{x(best + half) - x(best - half):.1f}" '
        f'height="{LINE * most}"/>'
    )
    for tick in range(1, most + 1):
        parts.append(f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{first}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{x(tick):.1f}" y="{bottom + 14}" text-anchor="middle">{tick}</text>')
    for place, (loss, rank) in enumerate(order):
        y = first + LINE * (place + 0.5)
        kind = ' class="base"' if loss == base else ""
        parts.append(
            f"<g{kind}><title>{escape(loss)}: mean rank {rank:.3f}</title>"
            f'<text x="{left - 10}" y="{y + 4:.1f}" text-anchor="end">{escape(loss)}</text>'
            f'<line class="bar" x1="{x(rank - half):.1f}" x2="{x(rank + half):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<circle class="dot" cx="{x(rank):.1f}" cy="{y:.1f}" r="4"/></g>'
        )
    return parts
