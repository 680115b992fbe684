"""Persistence, Betti matching, Betti numbers, skeletons, distances, warping, critical pixels of two-dimensional images.

NumPy and Numba only. Nothing is compiled, nor Numba imported, before a function is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsss.topology.betti import betti_numbers, local_betti_error
    from wsss.topology.distance import distance_transform
    from wsss.topology.kernels.image_keys import NotFinite
    from wsss.topology.malis import CriticalPixels, critical_pixels
    from wsss.topology.persistence import barcode, betti_matching, betti_matching_batch
    from wsss.topology.precompile import warmup
    from wsss.topology.results import Barcode, BettiMatching, DimensionMatching, Intervals
    from wsss.topology.skeletons import skeleton
    from wsss.topology.slopes import LossSlopes, loss_slopes
    from wsss.topology.warping import warp, warping_error_mask

_HOMES = {
    "Barcode": "results",
    "BettiMatching": "results",
    "CriticalPixels": "malis",
    "DimensionMatching": "results",
    "Intervals": "results",
    "LossSlopes": "slopes",
    "NotFinite": "kernels.image_keys",
    "barcode": "persistence",
    "betti_matching": "persistence",
    "betti_matching_batch": "persistence",
    "betti_numbers": "betti",
    "critical_pixels": "malis",
    "distance_transform": "distance",
    "local_betti_error": "betti",
    "loss_slopes": "slopes",
    "skeleton": "skeletons",
    "warmup": "precompile",
    "warp": "warping",
    "warping_error_mask": "warping",
}

__all__ = [
    "Barcode",
    "BettiMatching",
    "CriticalPixels",
    "DimensionMatching",
    "Intervals",
    "LossSlopes",
    "NotFinite",
    "barcode",
    "betti_matching",
    "betti_matching_batch",
    "betti_numbers",
    "critical_pixels",
    "distance_transform",
    "local_betti_error",
    "loss_slopes",
    "skeleton",
    "warmup",
    "warp",
    "warping_error_mask",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
