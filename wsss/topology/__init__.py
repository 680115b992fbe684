"""Persistence barcodes, Betti matching, Betti numbers and skeletons of two-dimensional images.

NumPy and Numba only. Nothing is compiled, nor Numba imported, before a function is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsss.topology.ahead import warmup
    from wsss.topology.betti import betti_numbers, local_betti_error
    from wsss.topology.persistence import barcode, betti_matching, betti_matching_batch
    from wsss.topology.results import Barcode, BettiMatching, DimensionMatching, Intervals
    from wsss.topology.skeletons import skeleton

_HOMES = {
    "Barcode": "results",
    "BettiMatching": "results",
    "DimensionMatching": "results",
    "Intervals": "results",
    "barcode": "persistence",
    "betti_matching": "persistence",
    "betti_matching_batch": "persistence",
    "betti_numbers": "betti",
    "local_betti_error": "betti",
    "skeleton": "skeletons",
    "warmup": "ahead",
}

__all__ = [
    "Barcode",
    "BettiMatching",
    "DimensionMatching",
    "Intervals",
    "barcode",
    "betti_matching",
    "betti_matching_batch",
    "betti_numbers",
    "local_betti_error",
    "skeleton",
    "warmup",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
