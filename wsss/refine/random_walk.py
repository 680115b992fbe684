"""Random walk of class maps on the affinities of nearby elements (PSA, IRN: Ahn et al., CVPR 2018 and 2019).

``P = D⁻¹ A^β`` with A the symmetric affinities (1 on the diagonal) and D the row sums; a step replaces every element by
the weighted mean of its neighbourhood, and ``P^n`` is applied by n sparse products. P itself is never squared,
since its powers are dense.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.refine.pixel_pairs import first_and_second, steps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

SEED_LEVEL = 0.3
"""Minimum fraction of the maximum of a map where its walk starts; see `clip_peaks`."""


@dataclass(frozen=True)
class Affinities:
    """Affinities of the pairs of a grid.

    Args:
        pairs: per step of `wsss.refine.pixel_pairs.steps`, an array in [0, 1] of the pairs that `first_and_second`
            selects.
        boundary: ``(h, w)`` in [0, 1].
    """

    pairs: Sequence[Floats]
    boundary: Floats


def affinities_along_paths(boundary: Floats, radius: int) -> list[Floats]:
    """Return ``1 − max boundary on the path`` of all pairs.

    Args:
        boundary: ``(h, w)`` in [0, 1].
        radius: see `wsss.refine.pixel_pairs.steps`.

    Returns:
        Per step, an array of the pairs that `first_and_second` selects.
    """
    size = boundary.shape[0], boundary.shape[1]
    affinities = []
    for step in steps(radius):
        (rows, columns), _ = first_and_second(size, step.offset)
        views = [
            boundary[rows.start + down : rows.stop + down, columns.start + right : columns.stop + right]
            for down, right in step.path
        ]
        affinities.append(1 - np.maximum.reduce(views))
    return affinities


def transition_matrix(affinities: Sequence[Floats], size: tuple[int, int], *, radius: int, beta: float) -> Any:
    """Return the sparse row-stochastic matrix P, ``(h·w, h·w)`` float64.

    Args:
        affinities: in [0, 1], per step; see `affinities_along_paths`.
        size: height and width of the grid.
        beta: exponent on the affinities; larger values keep the walk inside boundaries.
    """
    from scipy.sparse import coo_array

    cells = np.arange(size[0] * size[1], dtype=np.int32).reshape(size)
    ends, weights = [(cells.ravel(), cells.ravel())], [np.ones(cells.size)]
    for step, affinity in zip(steps(radius), affinities, strict=True):
        at, to = (cells[part].ravel() for part in first_and_second(size, step.offset))
        ends += [(at, to), (to, at)]
        weights += [affinity.ravel().astype(np.float64) ** beta] * 2
    rows, columns = (np.concatenate(part) for part in zip(*ends, strict=True))
    matrix = coo_array((np.concatenate(weights), (rows, columns)), shape=(cells.size, cells.size)).tocsr()
    matrix.data /= np.repeat(np.add.reduceat(matrix.data, matrix.indptr[:-1]), np.diff(matrix.indptr))
    return matrix


def walk(maps: Floats, transition: Any, steps: int) -> Floats:
    """Return ``P^steps`` times every map.

    Args:
        maps: ``(K, h, w)``.
        transition: P; see `transition_matrix`.
    """
    walked = np.empty(maps.shape, np.float32)
    for number, class_map in enumerate(maps):  # one by one: SciPy's product with several columns is slower
        values = class_map.ravel().astype(np.float64)
        for _ in range(steps):
            values = transition @ values
        walked[number] = values.reshape(class_map.shape)
    return walked


def clip_peaks(maps: Floats, seeds: Floats, quantile: float) -> Floats:
    """Clip every map at a quantile of its values where its walk started.

    A walk keeps the scores of a small region with a boundary around it, such as an eye, while those of the rest spread
    and decrease. As maps are divided by their maximum, such a peak alone would determine the scale of the map.

    Args:
        maps: propagated maps ``(K, h, w)`` ≥ 0.
        seeds: the maps before the walk ``(K, h, w)``; a walk started where its seed is at least `SEED_LEVEL` times
            the maximum of the seed.
        quantile: in (0, 1]; 1 leaves the maps unchanged, as does a quantile of zero.

    Returns:
        ``(K, h, w)``.
    """
    if quantile == 1:
        return maps
    clipped = maps.copy()
    for class_map, seed in zip(clipped, seeds, strict=True):
        limit = np.quantile(class_map[seed >= SEED_LEVEL * seed.max()], quantile)
        if limit > 0:
            np.minimum(class_map, np.float32(limit), out=class_map)
    return clipped
