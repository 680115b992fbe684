"""Precision–recall curves of several variants as one SVG, for the report's page or for a file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from wsss.viz.drawing.charts import nice_ticks
from wsss.viz.drawing.formatting import escape

WIDTH, HEIGHT = 760, 470
LEFT, TOP, RIGHT, BOTTOM = 58, 46, 210, 46
LINE = 21
COLOURS = 6
SHAPES = ("circle", "square", "triangle", "diamond")
FIRST = 0.02
"""Recall below which nothing is drawn: there classes are predicted nowhere, and their precision falls to 0."""

STANDARD = 0.5
"""The precision at which recall is compared; drawn as a line."""

# The page has the same colours, in report.css.
STYLE = """
svg { --bg: #fff; --ink: #1a1f26; --muted: #566170; --line: #d5dae1;
  --s0: #0072b2; --s1: #c84e00; --s2: #00795a; --s3: #a83f85; --s4: #7d6400; --s5: #4b5563;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
@media (prefers-color-scheme: dark) { svg { --bg: #181e26; --ink: #e7ebf1; --muted: #a0acba; --line: #323c49;
  --s0: #5fb8ee; --s1: #ff9b57; --s2: #3fd3a5; --s3: #ee94cd; --s4: #e6c84f; --s5: #b6c0cc; } }
"""
RULES = """
.curves .paper { fill: var(--bg); }
.curves text { fill: var(--ink); font-size: 13px; }
.curves .head { font-size: 15px; font-weight: 650; }
.curves .stamp { fill: var(--muted); font-size: 12px; }
.curves .tick { fill: var(--muted); font-size: 11.5px; }
.curves .grid { stroke: var(--line); stroke-width: 1; }
.curves .axis { stroke: var(--muted); stroke-width: 1.2; }
.curves .standard { stroke: var(--muted); stroke-width: 1.4; stroke-dasharray: 3 3; }
.curves .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.curves .mark { stroke: var(--bg); stroke-width: 1.2; }
.curves .d1 { stroke-dasharray: 7 3; } .curves .d2 { stroke-dasharray: 2 3; } .curves .d3 { stroke-dasharray: 9 3 2 3; }
.curves .reference { stroke-width: 4; }
.curves .curve:hover .line { stroke-width: 5; }
"""
RULES += "".join(
    f".curves .c{place} .line {{ stroke: var(--s{place}); }} .curves .c{place} .mark {{ fill: var(--s{place}); }}\n"
    for place in range(COLOURS)
)


@dataclass(frozen=True)
class Curve:
    """One variant's curve.

    Args:
        name: of the variant.
        levels: the L thresholds, ascending.
        recall, precision: ``(L,)`` each, in [0, 1].
        mark: (recall, precision) of the best threshold.
        seeds: how many runs the curve is the mean of.
    """

    name: str
    levels: tuple[float, ...]
    recall: tuple[float, ...]
    precision: tuple[float, ...]
    mark: tuple[float, float]
    seeds: int


@dataclass(frozen=True)
class CurveChart:
    """The curves of one split; ``reference`` names the one that is drawn bolder."""

    title: str
    split: str
    curves: tuple[Curve, ...]
    reference: str | None = None


def standalone(chart: CurveChart) -> str:
    """Return the chart as an SVG file that needs nothing else; light and dark as the viewer prefers."""
    drawn = draw(chart)
    start, rest = drawn.split(">", 1)
    return f'{start} xmlns="http://www.w3.org/2000/svg"><style>{STYLE}{RULES}</style>{rest}\n'


def draw(chart: CurveChart) -> Markup:
    """Draw the chart as an ``<svg>`` with a text alternative; it wants the rules `RULES` and the page's colours.

    Variants are told apart by colour, and by dashes and the shape of their mark where colours repeat.
    """
    height = max(HEIGHT, TOP + 34 + LINE * len(chart.curves) + 80)
    points = [point for curve in chart.curves for point in (*_drawn(curve), curve.mark)]
    across, up = _ticks([x for x, _ in points]), _ticks([y for _, y in points])
    plane = _Plane((across[0], across[-1]), (up[0], up[-1]), height)
    parts = [
        f'<svg class="curves" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(describe(chart))}">',
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="10"/>',
        f'<text class="head" x="{LEFT}" y="22">{escape(chart.title)} · {escape(chart.split)}</text>',
        f'<text class="stamp" x="{LEFT}" y="38"><tspan font-weight="700">ORACLE</tspan>: each point is a threshold, '
        "judged by the ground truth</text>",
        *_frame(plane, across, up),
    ]
    for place, curve in enumerate(chart.curves):
        parts.append(_curve(curve, place, plane, bold=curve.name == chart.reference))
    parts += _legend(chart, plane)
    return Markup("".join(parts) + "</svg>")


def describe(chart: CurveChart) -> str:
    """Return the chart in words: each variant's precision and recall at its best threshold."""
    points = [f"{curve.name} {curve.mark[1]:.3f} and {curve.mark[0]:.3f}" for curve in chart.curves]
    return (
        f"ORACLE. Precision–recall curves of {chart.title} on {chart.split}, foreground classes. "
        f"Precision and recall at the best threshold: {'; '.join(points)}"
    )


def _drawn(curve: Curve) -> list[tuple[float, float]]:
    """Return the points (recall, precision) of a curve that are drawn."""
    return [(x, y) for x, y in zip(curve.recall, curve.precision, strict=True) if x >= FIRST]


@dataclass(frozen=True)
class _Plane:
    """From recall and precision to places in the picture."""

    xs: tuple[float, float]
    ys: tuple[float, float]
    height: int

    def x(self, value: float) -> float:
        return LEFT + (value - self.xs[0]) / (self.xs[1] - self.xs[0]) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return TOP + (self.ys[1] - value) / (self.ys[1] - self.ys[0]) * (self.height - TOP - BOTTOM)


def _ticks(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(tick for tick in nice_ticks(min(values), max(values)) if -1e-9 <= tick <= 1 + 1e-9)


def _frame(plane: _Plane, across: Sequence[float], up: Sequence[float]) -> list[str]:
    left, right, top, bottom = LEFT, WIDTH - RIGHT, TOP, plane.height - BOTTOM
    parts = []
    for tick in up:
        y = plane.y(tick)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:.6g}</text>')
    for tick in across:
        x = plane.x(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:.6g}</text>')
    if plane.ys[0] < STANDARD < plane.ys[1]:
        y = plane.y(STANDARD)
        parts.append(f'<line class="standard" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
    parts.append(f'<path class="axis" fill="none" d="M{left} {top}V{bottom}H{right}"/>')
    parts.append(
        f'<text x="{(left + right) / 2:.1f}" y="{bottom + 36}" text-anchor="middle">recall (foreground)</text>'
        f'<text transform="translate(16 {(top + bottom) / 2:.1f}) rotate(-90)" text-anchor="middle">'
        "precision (foreground)</text>"
    )
    return parts


def _curve(curve: Curve, place: int, plane: _Plane, *, bold: bool) -> str:
    path = " ".join(f"{plane.x(x):.1f},{plane.y(y):.1f}" for x, y in _drawn(curve))
    x, y = curve.mark
    return (
        f'<g class="curve c{place % COLOURS}"><title>{escape(curve.name)}: precision {y:.3f}, recall {x:.3f} at the '
        f'best threshold</title><polyline class="{_line(place, bold)}" points="{path}"/>'
        f"{_mark(place, plane.x(x), plane.y(y))}</g>"
    )


def _line(place: int, bold: bool) -> str:
    return f"line d{place // COLOURS % len(SHAPES)}" + (" reference" if bold else "")


def _mark(place: int, x: float, y: float) -> str:
    shape, size = SHAPES[place // COLOURS % len(SHAPES)], 5.0
    if shape == "circle":
        return f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="{size}"/>'
    turns: dict[str, tuple[tuple[float, float], ...]] = {
        "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
        "triangle": ((0, -1.3), (1.2, 1), (-1.2, 1)),
        "diamond": ((0, -1.4), (1.4, 0), (0, 1.4), (-1.4, 0)),
    }
    points = " ".join(f"{x + size * right:.1f},{y + size * down:.1f}" for right, down in turns[shape])
    return f'<polygon class="mark" points="{points}"/>'


def _legend(chart: CurveChart, plane: _Plane) -> list[str]:
    x = WIDTH - RIGHT + 18
    parts: list[str] = []
    for place, curve in enumerate(chart.curves):
        y = TOP + 8 + LINE * place
        name = curve.name if len(curve.name) <= 22 else curve.name[:21] + "…"
        parts.append(
            f'<g class="c{place % COLOURS}"><line class="{_line(place, curve.name == chart.reference)}" x1="{x}" '
            f'x2="{x + 30}" y1="{y}" y2="{y}"/>{_mark(place, x + 15, y)}</g>'
            f'<text x="{x + 38}" y="{y + 4.5}">{escape(name)}</text>'
        )
    y = TOP + 8 + LINE * len(chart.curves) + 10
    notes = ["mark: best mIoU"]
    if any(curve.seeds > 1 for curve in chart.curves):
        notes.append(f"mean of {max(curve.seeds for curve in chart.curves)} seeds")
    if plane.ys[0] < STANDARD < plane.ys[1]:
        notes.append(f"dotted: precision {STANDARD:g}")
    notes += [f"bold: {chart.reference}"] if chart.reference in [curve.name for curve in chart.curves] else []
    parts += [
        f'<text class="stamp" x="{x}" y="{y + 17 * place}">{escape(note)}</text>' for place, note in enumerate(notes)
    ]
    return parts
