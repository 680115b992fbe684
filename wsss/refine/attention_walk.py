"""Random walk of class maps on the self-attention of a vision transformer.

Attention connects all patches of an image, so the walk takes place on the patches, with a dense matrix:
``P = D⁻¹ A^β`` as in `wsss.refine.random_walk`, with ``A = (S + Sᵀ)/2`` and S the attention. AFA (Ru et al., CVPR 2022)
uses S + Sᵀ in this way, mapped to affinities by a trained layer, which is not done here. `class_aware_walk` is that of
CLIP-ES (Lin et al., CVPR 2023): S is made doubly stochastic, and each map starts from boxes around its high scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]


def attention_transition(attention: Floats, beta: float) -> NDArray[np.float64]:
    """Return the row-stochastic matrix P, ``(N, N)`` float64.

    Args:
        attention: S, ``(N, N)`` ≥ 0 without rows of zeros.
        beta: exponent β; larger values favour the patches of the strongest attention.
    """
    affinity = attention.astype(np.float64)
    affinity = (affinity + affinity.T) / 2
    affinity /= affinity.max(1, keepdims=True)  # P does not change, but the powers of a row cannot all underflow to 0
    affinity **= beta
    affinity /= affinity.sum(1, keepdims=True)
    return affinity


def walk_on_patches(
    maps: NDArray[np.float32], transition: NDArray[np.float64], rows: Floats, columns: Floats, steps: int
) -> NDArray[np.float32]:
    """Return maps after a walk on patches.

    Args:
        maps: ``(K, h, w)`` on the grid of the maps.
        transition: P, ``(N, N)``; see `attention_transition`.
        rows: ``(h, n)``, interpolates n rows of patches at the rows of the grid; rows sum to 1.
        columns: ``(w, m)``, the same for columns; N = n·m.
        steps: number of products with P.

    Returns:
        ``(K, h, w)``: interpolated from the patches, whose initial values are means of the maps with the same weights.
    """
    patches = _means(rows) @ maps.astype(np.float64) @ _means(columns).T
    walked = patches.reshape(len(maps), -1)
    for _ in range(steps):
        walked = walked @ transition.T
    return np.asarray(rows @ walked.reshape(patches.shape) @ columns.T, np.float32)


def class_aware_walk(
    maps: NDArray[np.float32], attention: Floats, *, rounds: int, steps: int, box_threshold: float
) -> NDArray[np.float32]:
    """Return maps after CLIP-ES's walk: ``((P + Pᵀ)/2)^steps`` times each map inside its boxes, P doubly stochastic.

    Args:
        maps: ``(K, n, m)`` ≥ 0 on patches.
        attention: S, ``(n·m, n·m)`` ≥ 0.
        rounds: see `doubly_stochastic`.
        steps: number of products with the matrix.
        box_threshold: see `in_boxes`.
    """
    transition = doubly_stochastic(attention, rounds)
    transition = transition + transition.T
    transition /= 2
    walked = (maps * in_boxes(maps, box_threshold)).reshape(len(maps), -1).astype(np.float64)
    for _ in range(steps):
        walked = walked @ transition
    return np.asarray(walked.reshape(maps.shape), np.float32)


def doubly_stochastic(attention: Floats, rounds: int) -> NDArray[np.float64]:
    """Return S after Sinkhorn's iterations ``(N, N)``: each divides columns, then rows, by their sums."""
    matrix, least = attention.astype(np.float64), np.finfo(np.float64).tiny
    for _ in range(rounds):
        matrix /= matrix.sum(0, keepdims=True).clip(least)
        matrix /= matrix.sum(1, keepdims=True).clip(least)
    return matrix


def in_boxes(maps: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Return which elements of maps ``(K, n, m)`` ≥ 0 are in the bounding box of a region of high scores.

    A region is a set of elements above ``threshold`` times the map's maximum, connected by sides or corners.
    """
    from scipy import ndimage

    inside = np.zeros(maps.shape, np.bool_)
    for boxes, scores in zip(inside, maps, strict=True):
        regions, _ = ndimage.label(scores > threshold * scores.max(), structure=np.ones((3, 3)))
        for box in ndimage.find_objects(regions):
            boxes[box] = True
    return inside


def _means(interpolation: Floats) -> Floats:
    """Return ``(n, h)``: means over the elements of the grid, weighted by the part of each patch in them."""
    weights = interpolation.T
    return weights / weights.sum(1, keepdims=True)
