"""Persistence, Betti matching, Betti numbers, skeletons, distances, warping and critical pixels of 2-D images.

NumPy and Numba only. Importing this package neither imports Numba nor compiles anything.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsss.topology.betti_counts import BettiErrors, BettiNumbers, betti_numbers, local_betti_error
    from wsss.topology.distance import distance_transform
    from wsss.topology.kernels.image_keys import NotFinite
    from wsss.topology.malis import CriticalPixels, critical_pixels
    from wsss.topology.matching_gradient import LossGradient, loss_gradient
    from wsss.topology.persistence import barcode, betti_matching, betti_matching_batch
    from wsss.topology.precompile import warmup
    from wsss.topology.results import Barcode, BettiMatching, DimensionMatching, Intervals
    from wsss.topology.skeletons import skeleton
    from wsss.topology.warping import warp, warping_error_mask

__all__ = [
    "Barcode",
    "BettiErrors",
    "BettiMatching",
    "BettiNumbers",
    "CriticalPixels",
    "DimensionMatching",
    "Intervals",
    "LossGradient",
    "NotFinite",
    "barcode",
    "betti_matching",
    "betti_matching_batch",
    "betti_numbers",
    "critical_pixels",
    "distance_transform",
    "local_betti_error",
    "loss_gradient",
    "skeleton",
    "warmup",
    "warp",
    "warping_error_mask",
]

_MODULES = {
    "betti_counts": ("BettiErrors", "BettiNumbers", "betti_numbers", "local_betti_error"),
    "distance": ("distance_transform",),
    "kernels.image_keys": ("NotFinite",),
    "malis": ("CriticalPixels", "critical_pixels"),
    "matching_gradient": ("LossGradient", "loss_gradient"),
    "persistence": ("barcode", "betti_matching", "betti_matching_batch"),
    "precompile": ("warmup",),
    "results": ("Barcode", "BettiMatching", "DimensionMatching", "Intervals"),
    "skeletons": ("skeleton",),
    "warping": ("warp", "warping_error_mask"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List public names that are not yet imported, too, for tab completion."""
    return sorted({*globals(), *__all__})
