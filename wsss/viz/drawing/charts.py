"""Line charts as inline SVG for the report: no script, colours from the page's style sheet (light and dark)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from wsss.errors import InvalidInput
from wsss.io.files.recorded import check_recorded
from wsss.io.text.tables import read_table
from wsss.viz.drawing.formatting import escape, words

WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 74, 12, 14, 42  # LEFT: room for 0.00015 beside the unit
SERIES_STYLES = 6
NOT_CURVES = ("epoch", "step", "iteration", "seconds")
MAX_DOTS = 60
"""Curves with more points have no dots."""


@dataclass(frozen=True)
class Series:
    """One curve: ``values[i]`` belongs to ``xs[i]`` of its chart; ``None`` for a gap."""

    name: str
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Chart:
    """Curves over one common horizontal axis, with one unit."""

    title: str
    unit: str
    xs: tuple[float, ...]
    series: tuple[Series, ...]
    x_unit: str = "epoch"


def read_history(path: Path) -> tuple[Chart, ...]:
    """Read ``history.csv`` (``epoch``, then numeric columns) as charts: losses, scores, learning rates, others.

    Empty and non-finite cells are gaps. A file without rows gives no chart.

    Raises:
        InvalidInput: the file has no ``epoch`` column, or a cell is not a number.
    """
    check_recorded(path)
    rows = read_table(path)
    if not rows:
        return ()
    if "epoch" not in rows[0]:
        raise InvalidInput("no column 'epoch'", subject=path, found=list(rows[0]))
    columns = {name: [_number(path, row, name) for row in rows] for name in rows[0]}
    kept = [index for index, epoch in enumerate(columns["epoch"]) if epoch is not None]
    xs = tuple(epoch for epoch in columns["epoch"] if epoch is not None)
    groups: dict[tuple[str, str], list[Series]] = {}
    for name, column in columns.items():
        values = tuple(column[index] for index in kept)
        if name not in NOT_CURVES and any(value is not None for value in values):
            groups.setdefault(_group(name, values), []).append(Series(words(name), values))
    return tuple(Chart(title, unit, xs, tuple(series)) for (title, unit), series in sorted(groups.items(), key=_order))


def line_chart(chart: Chart) -> Markup:
    """Draw a chart as an SVG element with axes, ticks, units and a text alternative; the page adds the legend.

    Series i has the classes ``line s<i mod 6>``, for which the style sheet defines a colour and a dash pattern, so that
    curves are distinguishable without colour.
    """
    plane = _Plane(chart)
    x, y = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(describe(chart))}">',
        *_ticks(plane, chart.xs),
        f'<text class="unit" x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(chart.x_unit)}</text>',
        f'<text class="unit" transform="translate(13 {y:.1f}) rotate(-90)" text-anchor="middle">'
        f"{escape(chart.unit)}</text>",
        f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM}"/>',
    ]
    for index, series in enumerate(chart.series):
        parts += _curve(plane, chart, series, f"s{index % SERIES_STYLES}")
    return Markup("".join(parts) + "</svg>")


def describe(chart: Chart) -> str:
    """Return a chart in words: first, last, lowest and highest value of each curve."""
    curves = []
    for series in chart.series:
        known = [value for value in series.values if value is not None]
        curves.append(f"{series.name} from {known[0]:.4g} to {known[-1]:.4g} (range {min(known):.4g}–{max(known):.4g})")
    return f"{chart.title} over {len(chart.xs)} {chart.x_unit}s: " + "; ".join(curves)


def nice_ticks(low: float, high: float) -> tuple[float, ...]:
    """Return ascending round numbers (steps of 1, 2 or 5 times a power of ten) that enclose ``low`` … ``high``."""
    size = max(abs(low), abs(high))
    if high - low <= 1e-9 * size or high - low < 1e-290:  # equal up to rounding
        low, high = (low - 0.1 * size, high + 0.1 * size) if size > 1e-290 else (0.0, 1.0)
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(index * step for index in range(first, last + 1))


class _Plane:
    """The mapping from values to positions in the picture."""

    def __init__(self, chart: Chart) -> None:
        values = [value for series in chart.series for value in series.values if value is not None]
        self.ticks = nice_ticks(min(values), max(values))
        self.xs = min(chart.xs), max(chart.xs)

    def x(self, value: float) -> float:
        low, high = self.xs
        return LEFT + ((value - low) / (high - low) if high > low else 0.5) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)


def _ticks(plane: _Plane, xs: Sequence[float]) -> Iterator[str]:
    for tick in plane.ticks:
        y = plane.y(tick)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:.6g}</text>'
    for value in xs[:: -(-len(xs) // 8)]:
        x, y = plane.x(value), HEIGHT - BOTTOM + 16
        yield f'<text class="tick" x="{x:.1f}" y="{y}" text-anchor="middle">{value:g}</text>'


def _curve(plane: _Plane, chart: Chart, series: Series, style: str) -> Iterator[str]:
    known = [(x, value) for x, value in zip(chart.xs, series.values, strict=True) if value is not None]
    points = " ".join(f"{plane.x(x):.1f},{plane.y(value):.1f}" for x, value in known)
    yield f'<polyline class="line {style}" points="{points}"/>'
    for x, value in known if len(known) <= MAX_DOTS else ():
        title = f"{escape(series.name)}, {escape(chart.x_unit)} {x:g}: {value:.5g}"
        yield (
            f'<circle class="dot {style}" cx="{plane.x(x):.1f}" cy="{plane.y(value):.1f}" r="2.6">'
            f"<title>{title}</title></circle>"
        )


def _number(path: Path, row: dict[str, str], column: str) -> float | None:
    text = row[column].strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise InvalidInput(subject=f"{path}: {column}", allowed="a number", found=text) from error
    return value if math.isfinite(value) else None


def _group(name: str, values: Sequence[float | None]) -> tuple[str, str]:
    """Return title and unit of the chart of a column."""
    lower = name.lower()
    if "loss" in lower:
        return ("Loss", "loss")
    if "lr" in lower.split("_") or "learning_rate" in lower:
        return ("Learning rate", "learning rate")
    if lower.startswith("offset_"):
        return ("Sampler offsets", "feature pixels")
    if all(0 <= value <= 1 for value in values if value is not None):
        return ("Scores", "score (0–1)")
    return (words(name).capitalize(), words(name))


def _order(item: tuple[tuple[str, str], list[Series]]) -> tuple[int, str]:
    title = item[0][0]
    return ({"Loss": 0, "Scores": 1, "Learning rate": 3}.get(title, 2), title)
