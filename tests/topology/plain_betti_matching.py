"""Betti matching in its simplest form: sort every edge, run Kruskal's algorithm, remember every representative.

This is the oracle of the tests: no contraction, no packing, no compiled code, one idea per function. It follows the
same conventions as `wsss.topology` (V-construction, the C++ reference's order of ties), in sublevel wording.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

Cell = tuple[int, int]
OUTSIDE: Cell = (10**9, 10**9)


@dataclass
class Forest:
    """Union-find that also keeps, for each tree, its best cell under one order per tracked image."""

    parent: dict[Cell, Cell] = field(default_factory=dict)
    best: dict[Cell, list[Cell]] = field(default_factory=dict)

    def add(self, cell: Cell, tracked: int) -> None:
        self.parent[cell] = cell
        self.best[cell] = [cell] * tracked

    def find(self, cell: Cell) -> Cell:
        while self.parent[cell] != cell:
            self.parent[cell] = self.parent[self.parent[cell]]
            cell = self.parent[cell]
        return cell


def edges(image: np.ndarray) -> list[tuple[float, int, int, int]]:
    """All edges as (value, row, column, type), ascending; type 0 goes down, type 1 right."""
    rows, columns = image.shape
    result = []
    for r in range(rows):
        for c in range(columns):
            if r + 1 < rows:
                result.append((float(max(image[r, c], image[r + 1, c])), r, c, 0))
            if c + 1 < columns:
                result.append((float(max(image[r, c], image[r, c + 1])), r, c, 1))
    return sorted(result)


def merges_dim0(order_image: np.ndarray, tracked: list[np.ndarray]):
    """Merges of pixels in the edge order of one image: (edge, [killed cell under each tracked image])."""
    rows, columns = order_image.shape
    forest = Forest()
    for r in range(rows):
        for c in range(columns):
            forest.add((r, c), len(tracked))
    for edge in edges(order_image):
        _, r, c, kind = edge
        a, b = forest.find((r, c)), forest.find((r + 1, c) if kind == 0 else (r, c + 1))
        if a == b:
            continue
        killed = []
        for i, image in enumerate(tracked):
            elder, younger = sorted([forest.best[a][i], forest.best[b][i]], key=lambda cell, m=image: (m[cell], cell))
            killed.append(younger)
            forest.best[a][i] = elder
        forest.parent[b] = a
        yield edge, killed


def face_values(image: np.ndarray) -> dict[Cell, float]:
    """Value of each face (named by its upper left pixel): its largest pixel; the outside is at +inf."""
    rows, columns = image.shape
    values = {(r, c): float(image[r : r + 2, c : c + 2].max()) for r in range(rows - 1) for c in range(columns - 1)}
    values[OUTSIDE] = np.inf
    return values


def merges_dim1(order_image: np.ndarray, tracked: list[dict[Cell, float]]):
    """Merges of faces in the reversed edge order of one image: (edge, [killed face under each tracked image])."""
    forest = Forest()
    known = face_values(order_image)
    for face in known:
        forest.add(face, len(tracked))
    for edge in reversed(edges(order_image)):
        _, r, c, kind = edge
        sides = [(r, c - 1), (r, c)] if kind == 0 else [(r - 1, c), (r, c)]
        a, b = (forest.find(side if side in known else OUTSIDE) for side in sides)
        if a == b:
            continue
        killed = []
        for i, values in enumerate(tracked):
            younger, elder = sorted([forest.best[a][i], forest.best[b][i]], key=lambda f, v=values: (v[f], f))
            killed.append(younger)
            forest.best[a][i] = elder
        forest.parent[b] = a
        yield edge, killed


def edge_pixel(image: np.ndarray, edge: tuple[float, int, int, int]) -> Cell:
    """The pixel whose value the edge has; the second one if both have it."""
    value, r, c, kind = edge
    second = (r + 1, c) if kind == 0 else (r, c + 1)
    return second if image[second] == value else (r, c)


def face_pixel(image: np.ndarray, face: Cell) -> Cell:
    """The pixel whose value the face has; the first one in the order (+1,+1), (+1,0), (0,+1), (0,0)."""
    r, c = face
    corners = [(r + 1, c + 1), (r + 1, c), (r, c + 1), (r, c)]
    return max(corners, key=lambda cell: (image[cell], -corners.index(cell)))


def barcode_dim0(image: np.ndarray) -> dict[Cell, tuple[Cell, Cell]]:
    """Killed pixel → (birth pixel, death pixel), positive length only."""
    return {
        killed: (killed, edge_pixel(image, edge))
        for edge, [killed] in merges_dim0(image, [image])
        if image[killed] != edge[0]
    }


def barcode_dim1(image: np.ndarray) -> list[tuple[Cell, Cell]]:
    """(birth pixel, death pixel), positive length only."""
    values = face_values(image)
    return [
        (edge_pixel(image, edge), face_pixel(image, killed))
        for edge, [killed] in merges_dim1(image, [values])
        if values[killed] != edge[0]
    ]


def betti_matching(f: np.ndarray, g: np.ndarray):
    """Sublevel Betti matching. Per dimension: (matched, unmatched of f, unmatched of g) as birth/death pixels."""
    h = np.minimum(f, g)
    bars_f, bars_g = barcode_dim0(f), barcode_dim0(g)
    matched0 = []
    for edge, [killed_h, killed_f, killed_g] in merges_dim0(h, [h, f, g]):
        if h[killed_h] != edge[0] and killed_f in bars_f and killed_g in bars_g:
            matched0.append((bars_f.pop(killed_f), bars_g.pop(killed_g)))

    values_h = face_values(h)
    keyed = []
    for image in (f, g):
        values = face_values(image)
        bars = {}
        for edge, [killed, killed_h] in merges_dim1(image, [values, values_h]):
            if values[killed] != edge[0]:
                bars[killed_h] = (edge_pixel(image, edge), face_pixel(image, killed))
        keyed.append(bars)
    matched1 = []
    for edge, [killed] in merges_dim1(h, [values_h]):
        if values_h[killed] != edge[0] and killed in keyed[0] and killed in keyed[1]:
            matched1.append((keyed[0].pop(killed), keyed[1].pop(killed)))
    return (
        (matched0, list(bars_f.values()), list(bars_g.values())),
        (matched1, list(keyed[0].values()), list(keyed[1].values())),
    )
