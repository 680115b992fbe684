"""Persistence diagram and barcode of a prediction matched with a label, as SVG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsss.topology import BettiMatching

SIDE, MARGIN = 310, 44
MOST_POINTS = 500
MOST_BARS = 60
NAMES = ("component", "hole")


@dataclass(frozen=True)
class _Interval:
    dimension: int
    birth: float
    death: float
    matched: bool

    @property
    def length(self) -> float:
        return abs(self.birth - self.death)


def _intervals(matching: BettiMatching) -> Iterator[_Interval]:
    for dimension, part in enumerate((matching.dim0, matching.dim1)):
        for several, matched in ((part.matched_pred, True), (part.unmatched_pred, False)):
            for birth, death in zip(several.births, several.deaths, strict=True):
                yield _Interval(dimension, float(birth), float(death), matched)


def _longest(matching: BettiMatching, count: int) -> tuple[list[_Interval], int]:
    """Return the most persistent intervals of the prediction, and how many there are in all."""
    found = sorted(_intervals(matching), key=lambda one: (-one.length, -one.birth, one.dimension))
    return found[:count], len(found)


def persistence_svg(matching: BettiMatching) -> str:
    """Return the persistence diagram of the prediction (values in [0, 1]): birth to the right, death upwards.

    Components are discs, holes squares; filled where the label has a partner, hollow vermilion where it has none.
    Of more than `MOST_POINTS` intervals the most persistent are drawn.
    """
    shown, total = _longest(matching, MOST_POINTS)
    scale = SIDE - 2 * MARGIN

    def at(value: float) -> float:
        return MARGIN + scale * min(max(value, 0.0), 1.0)

    marks = []
    for one in reversed(shown):  # the most persistent on top
        x, y = at(one.birth), SIDE - at(one.death)
        look = f'class="{"pair" if one.matched else "alone"}"'
        if one.dimension:
            marks.append(f'<rect x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6" {look}/>')
        else:
            marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.4" {look}/>')
    ticks = [
        f'<text class="tick" x="{at(value):.1f}" y="{SIDE - MARGIN + 14}" text-anchor="middle">{value:g}</text>'
        f'<text class="tick" x="{MARGIN - 5}" y="{SIDE - at(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
        for value in (0.0, 0.5, 1.0)
    ]
    low, high = MARGIN, SIDE - MARGIN
    alone = sum(not one.matched for one in shown)
    label = f"Persistence diagram of the prediction: {total} intervals, {alone} of the {len(shown)} drawn unmatched"
    return "\n".join(
        [
            f'<svg class="diagram" viewBox="0 0 {SIDE} {SIDE}" role="img" aria-label="{label}">',
            f'<path class="grid" d="M{low} {high}L{high} {low}"/>',
            f'<path class="axis" d="M{low} {low}V{high}H{high}"/>',
            *ticks,
            f'<text class="unit" x="{SIDE / 2}" y="{SIDE - 4}" text-anchor="middle">birth</text>',
            f'<text class="unit" x="12" y="{SIDE / 2}" text-anchor="middle" '
            f'transform="rotate(-90 12 {SIDE / 2})">death</text>',
            *marks,
            "</svg>",
        ]
    )


def barcode_svg(matching: BettiMatching) -> str:
    """Return the barcode of the prediction: one bar from birth to death for each of the `MOST_BARS` longest intervals.

    Components come first, then holes; solid where the label has a partner, vermilion and dashed where it has none.
    """
    shown, total = _longest(matching, MOST_BARS)
    shown.sort(key=lambda one: (one.dimension, -one.birth, one.death))
    step, scale = 5, SIDE - 2 * MARGIN
    height = MARGIN + step * len(shown) + 26
    bars = []
    for place, one in enumerate(shown):
        y = 20 + step * place
        ends = sorted((one.birth, one.death), reverse=True)
        left, right = (MARGIN + scale * (1 - min(max(value, 0.0), 1.0)) for value in ends)
        look = f"{'pair' if one.matched else 'alone'} dim{one.dimension}"
        bars.append(f'<path class="{look}" d="M{left:.1f} {y}H{max(right, left + 1):.1f}"/>')
    ticks = [
        f'<text class="tick" x="{MARGIN + scale * (1 - value):.1f}" y="{height - 18}" text-anchor="middle">'
        f"{value:g}</text>"
        for value in (1.0, 0.5, 0.0)
    ]
    alone = sum(not one.matched for one in shown)
    label = f"Barcode of the prediction: the {len(shown)} longest of {total} intervals, {alone} without a partner"
    return "\n".join(
        [
            f'<svg class="barcode" viewBox="0 0 {SIDE} {height}" role="img" aria-label="{label}">',
            *bars,
            *ticks,
            f'<text class="unit" x="{SIDE / 2}" y="{height - 3}" text-anchor="middle">threshold, high to low</text>',
            "</svg>",
        ]
    )
