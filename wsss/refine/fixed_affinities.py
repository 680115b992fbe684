"""Affinities that are not learned: a control for those of the boundary network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wsss.refine.pixel_pairs import first_and_second, steps
from wsss.refine.random_walk import Affinities

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


def vector_affinities(vectors: Floats, radius: int, sigma: float) -> Affinities:
    """Return ``exp(−‖v_i − v_j‖² / 2σ²)`` of all pairs, and the boundary map of `boundary_of`.

    Args:
        vectors: ``(h, w, C)``: colours, or any other features.
        radius: see `wsss.refine.pixel_pairs.steps`.
        sigma: σ, in the units of the vectors.
    """
    size = vectors.shape[0], vectors.shape[1]
    affinities = []
    for step in steps(radius):
        first, second = first_and_second(size, step.offset)
        squared = ((vectors[first] - vectors[second]) ** 2).sum(2)
        affinities.append(np.exp(squared / np.float32(-2 * sigma**2)))
    return Affinities(affinities, boundary_of(affinities, size, radius))


def cosine_affinities(vectors: Floats, radius: int) -> Affinities:
    """Return ``max(0, v_i · v_j)`` of all pairs, and the boundary map of `boundary_of`.

    For unit vectors this is the cosine similarity without its negative part, the affinity of features of Melas-Kyriazi
    et al. (*Deep Spectral Methods*, CVPR 2022), here for the pairs within the radius instead of all pairs.

    Args:
        vectors: ``(h, w, C)`` of length at most 1.
        radius: see `wsss.refine.pixel_pairs.steps`.
    """
    size = vectors.shape[0], vectors.shape[1]
    affinities = []
    for step in steps(radius):
        first, second = first_and_second(size, step.offset)
        products = np.einsum("ijc,ijc->ij", vectors[first], vectors[second])  # without a copy of the vectors
        affinities.append(products.clip(0, 1))
    return Affinities(affinities, boundary_of(affinities, size, radius))


def boundary_of(affinities: list[Floats], size: tuple[int, int], radius: int) -> Floats:
    """Return the boundary map ``(h, w)`` of affinities: 1 − the lowest affinity to one of the four neighbours."""
    lowest = np.ones(size, np.float32)
    for step, affinity in zip(steps(radius), affinities, strict=True):
        if step.offset in ((0, 1), (1, 0)):
            for end in first_and_second(size, step.offset):
                lowest[end] = np.minimum(lowest[end], affinity)
    return 1 - lowest
