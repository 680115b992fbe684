"""Random walk of class maps on the self-attention of a vision transformer.

Attention connects all patches of an image, so the walk takes place on the patches, with a dense matrix:
``P = D⁻¹ A^β`` as in `wsss.refine.random_walk`, with ``A = (S + Sᵀ)/2`` and S the attention. AFA (Ru et al., CVPR 2022)
uses S + Sᵀ in this way, mapped to affinities by a trained layer; CLIP-ES (Lin et al., CVPR 2023) makes S doubly
stochastic by Sinkhorn's iterations before (S + Sᵀ)/2, and restricts the result to boxes. Neither is done here.
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


def _means(interpolation: Floats) -> Floats:
    """Return ``(n, h)``: means over the elements of the grid, weighted by the part of each patch in them."""
    weights = interpolation.T
    return weights / weights.sum(1, keepdims=True)
