"""Persistence diagram and barcode of a prediction matched with a label, as inline SVG for the report.

A page has dozens of them, in its own colours (light and dark); as matplotlib figures they would be twenty times larger.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsss.topology import BettiMatching

SIDE, MARGIN = 310, 44
MAX_POINTS = 500
MAX_BARS = 60


@dataclass(frozen=True)
class _Interval:
    dimension: int
    birth: float
    death: float
    matched: bool

    @property
    def length(self) -> float:
        return abs(self.birth - self.death)


def persistence_svg(matching: BettiMatching) -> str:
    """Return the persistence diagram of the prediction (values in [0, 1]): birth to the right, death upwards.

    Components are circles, holes squares; filled if matched with the label, otherwise hollow vermilion. At most
    `MAX_POINTS` intervals are drawn, the most persistent ones.
    """
    shown, total = _longest(matching, MAX_POINTS)
    scale, low, high = SIDE - 2 * MARGIN, MARGIN, SIDE - MARGIN

    def position(value: float) -> float:
        return MARGIN + scale * min(max(value, 0.0), 1.0)

    marks = []
    for interval in reversed(shown):  # the most persistent on top
        x, y = position(interval.birth), SIDE - position(interval.death)
        style = f'class="{"pair" if interval.matched else "alone"}"'
        if interval.dimension:
            marks.append(f'<rect x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6" {style}/>')
        else:
            marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.4" {style}/>')
    ticks = [
        _text("tick", position(value), high + 14, f"{value:g}")
        + _text("tick", MARGIN - 5, SIDE - position(value) + 4, f"{value:g}", anchor="end")
        for value in (0.0, 0.5, 1.0)
    ]
    unmatched = sum(not interval.matched for interval in shown)
    label = f"Persistence diagram of the prediction: {total} intervals, {unmatched} of the {len(shown)} drawn unmatched"
    return "\n".join(
        [
            f'<svg class="diagram" viewBox="0 0 {SIDE} {SIDE}" role="img" aria-label="{label}">',
            f'<path class="grid" d="M{low} {high}L{high} {low}"/>',
            f'<path class="axis" d="M{low} {low}V{high}H{high}"/>',
            *ticks,
            _text("unit", SIDE / 2, SIDE - 4, "birth"),
            f'<g transform="rotate(-90 12 {SIDE / 2})">{_text("unit", 12, SIDE / 2, "death")}</g>',
            *marks,
            "</svg>",
        ]
    )


def barcode_svg(matching: BettiMatching) -> str:
    """Return the barcode of the prediction: a bar from birth to death for each of the `MAX_BARS` longest intervals.

    Components come first, then holes; solid if matched with the label, otherwise dashed vermilion.
    """
    shown, total = _longest(matching, MAX_BARS)
    shown.sort(key=lambda interval: (interval.dimension, -interval.birth, interval.death))
    step, scale = 5, SIDE - 2 * MARGIN
    height = MARGIN + step * len(shown) + 26

    def position(value: float) -> float:
        return MARGIN + scale * (1 - min(max(value, 0.0), 1.0))

    bars = []
    for row, interval in enumerate(shown):
        left, right = position(max(interval.birth, interval.death)), position(min(interval.birth, interval.death))
        style = f"{'pair' if interval.matched else 'alone'} dim{interval.dimension}"
        bars.append(f'<path class="{style}" d="M{left:.1f} {20 + step * row}H{max(right, left + 1):.1f}"/>')
    unmatched = sum(not interval.matched for interval in shown)
    label = f"Barcode of the prediction: the {len(shown)} longest of {total} intervals, {unmatched} unmatched"
    return "\n".join(
        [
            f'<svg class="barcode" viewBox="0 0 {SIDE} {height}" role="img" aria-label="{label}">',
            *bars,
            *(_text("tick", position(value), height - 18, f"{value:g}") for value in (1.0, 0.5, 0.0)),
            _text("unit", SIDE / 2, height - 3, "threshold, high to low"),
            "</svg>",
        ]
    )


def _intervals(matching: BettiMatching) -> Iterator[_Interval]:
    for dimension, part in enumerate((matching.dim0, matching.dim1)):
        for intervals, matched in ((part.matched_pred, True), (part.unmatched_pred, False)):
            for birth, death in zip(intervals.births, intervals.deaths, strict=True):
                yield _Interval(dimension, float(birth), float(death), matched)


def _longest(matching: BettiMatching, count: int) -> tuple[list[_Interval], int]:
    """Return the most persistent intervals of the prediction, and the number of all intervals."""
    intervals = sorted(
        _intervals(matching), key=lambda interval: (-interval.length, -interval.birth, interval.dimension)
    )
    return intervals[:count], len(intervals)


def _text(style: str, x: float, y: float, text: str, *, anchor: str = "middle") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'
