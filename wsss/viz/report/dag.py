"""The graph of a pipeline as inline SVG: a layered drawing (Sugiyama).

The layer of a stage is its longest path from a source; long edges bend at dummy nodes in the layers between; nodes
within a layer are ordered by the barycentre of their neighbours, so that few edges cross.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal

from markupsafe import Markup

from wsss.viz.drawing.formatting import duration, escape
from wsss.viz.report.run_overview import StageRecord, in_order

Direction = Literal["right", "down"]
Node = tuple[str, int]
"""A node: a stage, or a dummy on a long edge, and its layer."""

NODES: Mapping[Direction, tuple[int, int]] = {"right": (152, 62), "down": (112, 62)}
"""Width and height of a box, pixels."""

SYMBOLS = {"done": "✓", "skipped": "✓", "failed": "✗", "running": "…", "pending": "○"}


def draw(records: Sequence[StageRecord], direction: Direction) -> Markup:
    """Draw the stages and their dependencies.

    Args:
        records: the stages, in any order.
        direction: ``right`` for wide pages, ``down`` for phones.

    Returns:
        An ``<svg>`` with a text alternative; the status has a symbol and a word, not only a colour.
    """
    layers, edges = layout(records)
    width, height = NODES[direction]
    gap_along, gap_across = (36, 18) if direction == "right" else (30, 10)
    along, across = (width, height) if direction == "right" else (height, width)
    deepest = max(len(layer) for layer in layers)
    breadth = deepest * (across + gap_across) - gap_across
    centres: dict[Node, tuple[float, float]] = {}
    for depth, layer in enumerate(layers):
        start = (breadth - (len(layer) * (across + gap_across) - gap_across)) / 2
        for slot, node in enumerate(layer):
            a = 2 + depth * (along + gap_along) + along / 2
            b = 2 + start + slot * (across + gap_across) + across / 2
            centres[node] = (a, b) if direction == "right" else (b, a)
    length = len(layers) * (along + gap_along) - gap_along
    width, height = (length + 4, breadth + 4) if direction == "right" else (breadth + 4, length + 4)

    # Text is unreadable below seven tenths of its size: narrower pages scroll the picture.
    bounds = f"max-width:{width}px;min-width:{0.7 * width:.0f}px"
    parts = [
        f'<svg class="dag {direction}" viewBox="0 0 {width} {height}" style="{bounds}" role="img" '
        f'aria-label="{escape(describe(records))}">'
    ]
    parts += [_edge(chain, centres, direction) for chain in edges]
    by_id = {record.id: record for record in records}
    for depth, layer in enumerate(layers):
        parts += [_node(by_id[name], *centres[name, depth], direction) for name in _real(layer)]
    return Markup("".join(parts) + "</svg>")


def describe(records: Sequence[StageRecord]) -> str:
    """Return the graph in words."""
    return "Pipeline. " + "; ".join(
        f"{record.id} ({record.uses}, {record.status}, {duration(record.seconds)})"
        + (f" needs {', '.join(record.needs)}" if record.needs else "")
        for record in records
    )


def layout(records: Sequence[StageRecord]) -> tuple[list[list[Node]], list[list[Node]]]:
    """Return the layers (ordered nodes) and the edges (chains of nodes, one per layer)."""
    known = {record.id for record in records}
    needs = {record.id: [need for need in record.needs if need in known] for record in records}
    depth = _depths({record.id: needs[record.id] for record in in_order(records)})
    layers: list[list[Node]] = [[] for _ in range(max(depth.values(), default=0) + 1)]
    for record in records:
        layers[depth[record.id]].append((record.id, depth[record.id]))
    chains = []
    for name, parents in needs.items():
        for parent in parents:
            bends = [(f"\0{parent}\0{name}", layer) for layer in range(depth[parent] + 1, depth[name])]
            for bend in bends:
                layers[bend[1]].append(bend)
            chains.append([(parent, depth[parent]), *bends, (name, depth[name])])
    _order(layers, chains)
    return layers, chains


def _depths(needs: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return the longest path of each stage from a source; ``needs`` is sorted topologically."""
    depth: dict[str, int] = {}
    for name, parents in needs.items():
        depth[name] = 1 + max((depth[parent] for parent in parents if parent in depth), default=-1)
    return depth


def _order(layers: list[list[Node]], chains: Sequence[Sequence[Node]]) -> None:
    """Sort each layer by the mean position of its neighbours, in alternating sweeps."""
    before: dict[Node, list[Node]] = {}
    after: dict[Node, list[Node]] = {}
    for chain in chains:
        for upper, other in pairwise(chain):
            after.setdefault(upper, []).append(other)
            before.setdefault(other, []).append(upper)
    for sweep in range(6):
        forward = sweep % 2 == 0
        for layer in layers if forward else reversed(layers):
            position = {node: slot - (len(row) - 1) / 2 for row in layers for slot, node in enumerate(row)}
            layer.sort(key=partial(_barycentre, before if forward else after, position))


def _barycentre(neighbours: Mapping[Node, list[Node]], position: Mapping[Node, float], node: Node) -> float:
    beside = neighbours.get(node)
    return sum(position[neighbour] for neighbour in beside) / len(beside) if beside else position[node]


def _real(layer: Sequence[Node]) -> list[str]:
    return [name for name, _ in layer if not name.startswith("\0")]


def _node(record: StageRecord, x: float, y: float, direction: Direction) -> str:
    width, height = NODES[direction]
    left, top = x - width / 2, y - height / 2
    inset = left + (12 if direction == "right" else 8)
    # Narrow boxes omit the word "done"; its symbol is enough.
    symbol = SYMBOLS.get(record.status, "•")
    status = [] if direction == "down" and record.status == "done" and record.seconds is not None else [record.status]
    state = " · ".join(status + ([] if record.seconds is None else [duration(record.seconds)]))
    letters = (width - 20) // 8
    return (
        f'<g class="node {escape(record.status)}"><title>{escape(record.id)}: {escape(record.uses)}</title>'
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width}" height="{height}" rx="8"/>'
        f'<text class="id" x="{inset:.1f}" y="{top + 21:.1f}">{escape(_short(record.id, letters))}</text>'
        f'<text class="uses" x="{inset:.1f}" y="{top + 37:.1f}">{escape(_short(record.uses, letters + 2))}</text>'
        f'<text class="state" x="{inset:.1f}" y="{top + 53:.1f}">{symbol} {escape(state)}</text></g>'
    )


def _edge(chain: Sequence[Node], centres: Mapping[Node, tuple[float, float]], direction: Direction) -> str:
    """Draw a chain as smooth curves with an arrow head."""
    points = [centres[node] for node in chain]
    reach = NODES[direction][0] / 2 if direction == "right" else NODES[direction][1] / 2
    path = ""
    for (x1, y1), (x2, y2) in pairwise(points):
        if direction == "right":
            x1, x2 = x1 + reach, x2 - reach
            middle = (x1 + x2) / 2
            curve = f"C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
        else:
            y1, y2 = y1 + reach, y2 - reach
            middle = (y1 + y2) / 2
            curve = f"C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} {x2:.1f} {y2:.1f}"
        # Across a dummy node the edge is straight.
        path += (f"M{x1:.1f} {y1:.1f}" if not path else f"L{x1:.1f} {y1:.1f}") + curve
    x, y = points[-1]
    tip = (x - reach, y) if direction == "right" else (x, y - reach)
    arrow = (-6, -3.5, -6, 3.5) if direction == "right" else (-3.5, -6, 3.5, -6)
    head = f"{tip[0]:.1f},{tip[1]:.1f} " + " ".join(
        f"{tip[0] + arrow[i]:.1f},{tip[1] + arrow[i + 1]:.1f}" for i in (0, 2)
    )
    return f'<path class="edge" d="{path}"/><polygon class="tip" points="{head}"/>'


def _short(text: str, max_length: int) -> str:
    return text if len(text) <= max_length else text[: max_length - 1] + "…"
