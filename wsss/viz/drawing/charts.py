"""Line charts as inline SVG: no script, no fonts of their own, colours from the page's style sheet (light and dark)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from wsss.errors import InvalidInput
from wsss.io.files.recorded import check_recorded
from wsss.io.text.tables import read_table
from wsss.viz.drawing.formatting import escape, words

WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 74, 12, 14, 42  # 0.00015 has to fit beside the unit
SERIES_STYLES = 6
NOT_CURVES = ("epoch", "step", "iteration", "seconds")


@dataclass(frozen=True)
class Series:
    """One curve: ``values[i]`` belongs to ``xs[i]`` of its chart; ``None`` where nothing was measured."""

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

    Empty and non-finite cells are gaps. A file without a row gives no chart.

    Raises:
        InvalidInput: the file has no ``epoch`` column, or a cell is not a number.
    """
    check_recorded(path)
    rows = read_table(path)
    if not rows:
        return ()
    if "epoch" not in rows[0]:
        raise InvalidInput(f"{path}: no column 'epoch'; found {', '.join(map(str, rows[0]))}.")
    cells = [[_cell(path, row, name) for row in rows] for name in rows[0]]
    columns = dict(zip(rows[0], cells, strict=True))
    keep = [place for place, epoch in enumerate(columns["epoch"]) if epoch is not None]
    xs = tuple(epoch for epoch in columns["epoch"] if epoch is not None)
    groups: dict[tuple[str, str], list[Series]] = {}
    for name, values in columns.items():
        picked = tuple(values[place] for place in keep)
        if name not in NOT_CURVES and any(value is not None for value in picked):
            groups.setdefault(_group(name, picked), []).append(Series(words(name), picked))
    return tuple(Chart(title, unit, xs, tuple(series)) for (title, unit), series in sorted(groups.items(), key=_rank))


def _cell(path: Path, row: dict[str, str], name: str) -> float | None:
    text = row[name].strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise InvalidInput(f"{path}: column {name!r} holds {text!r}, which is not a number.") from error
    return value if math.isfinite(value) else None


def _group(name: str, values: Sequence[float | None]) -> tuple[str, str]:
    """Put a column into the chart (title, unit) it belongs to."""
    lower = name.lower()
    if "loss" in lower:
        return ("Loss", "loss")
    if "lr" in lower.split("_") or "learning_rate" in lower:
        return ("Learning rate", "learning rate")
    if lower.startswith("offset_"):
        return ("Offsets of the sampler", "feature pixels")
    if all(0 <= value <= 1 for value in values if value is not None):
        return ("Scores", "score (0–1)")
    return (words(name).capitalize(), words(name))


def _rank(item: tuple[tuple[str, str], list[Series]]) -> tuple[int, str]:
    order = {"Loss": 0, "Scores": 1, "Learning rate": 3}
    return (order.get(item[0][0], 2), item[0][0])


def line_chart(chart: Chart) -> Markup:
    """Draw a chart as an SVG element with axes, ticks, units and a text alternative; the legend is the page's part.

    Series i wears the classes ``line s<i mod 6>``: the style sheet gives it a colour and a dash pattern, so that
    curves are told apart without colour too.
    """
    values = [value for series in chart.series for value in series.values if value is not None]
    x_low, x_high = min(chart.xs), max(chart.xs)
    ticks = nice_ticks(min(values), max(values))
    low, high = ticks[0], ticks[-1]

    def across(x: float) -> float:
        span = x_high - x_low
        return LEFT + ((x - x_low) / span if span else 0.5) * (WIDTH - LEFT - RIGHT)

    def up(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(describe(chart))}">',
    ]
    for tick in ticks:
        y = up(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:.6g}</text>')
    for x in _epoch_ticks(chart.xs):
        parts.append(
            f'<text class="tick" x="{across(x):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{x:g}</text>'
        )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text class="unit" x="{(LEFT + WIDTH - RIGHT) / 2:.1f}" y="{HEIGHT - 8}" text-anchor="middle">'
        f"{escape(chart.x_unit)}</text>"
        f'<text class="unit" transform="translate(13 {middle:.1f}) rotate(-90)" text-anchor="middle">'
        f"{escape(chart.unit)}</text>"
        f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM}"/>'
    )
    for place, series in enumerate(chart.series):
        style = f"s{place % SERIES_STYLES}"
        points = [
            (across(x), up(value), x, value)
            for x, value in zip(chart.xs, series.values, strict=True)
            if value is not None
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points)
        parts.append(f'<polyline class="line {style}" points="{path}"/>')
        for x, y, epoch, value in points if len(points) <= 60 else ():
            parts.append(
                f'<circle class="dot {style}" cx="{x:.1f}" cy="{y:.1f}" r="2.6"><title>{escape(series.name)}, '
                f"{escape(chart.x_unit)} {epoch:g}: {value:.5g}</title></circle>"
            )
    return Markup("".join(parts) + "</svg>")


def describe(chart: Chart) -> str:
    """Return what a chart shows in words: each curve's first, best known extremes and last value."""
    curves = []
    for series in chart.series:
        known = [value for value in series.values if value is not None]
        curves.append(f"{series.name} from {known[0]:.4g} to {known[-1]:.4g} (range {min(known):.4g}–{max(known):.4g})")
    return f"{chart.title} over {len(chart.xs)} {chart.x_unit}s: " + "; ".join(curves)


def nice_ticks(low: float, high: float, *, count: int = 5) -> tuple[float, ...]:
    """Return ascending round numbers (steps of 1, 2 or 5 times a power of ten) that enclose ``low`` … ``high``."""
    size = max(abs(low), abs(high))
    if high - low <= 1e-9 * size or high - low < 1e-290:  # one value, as far as floats can tell
        low, high = (low - 0.1 * size, high + 0.1 * size) if size > 1e-290 else (0.0, 1.0)
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(place * step for place in range(first, last + 1))


def _epoch_ticks(xs: Sequence[float], *, most: int = 8) -> list[float]:
    stride = -(-len(xs) // most)
    return list(xs[::stride])
