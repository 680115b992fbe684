"""Scores of masks as functions of arrays: ``hd95(pred, gt)``, ``mean_iou(pred, gt)``.

Masks are NumPy arrays or tensors on any device. Importing this package imports nothing else; the functions are imported
on first access.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsss.metrics.overlap import class_iou, confusion_matrix, dice, mean_iou
    from wsss.metrics.surface import hd95
    from wsss.metrics.topology import betti_error, betti_matching_error, cldice, local_betti_error

__all__ = [
    "betti_error",
    "betti_matching_error",
    "class_iou",
    "cldice",
    "confusion_matrix",
    "dice",
    "hd95",
    "local_betti_error",
    "mean_iou",
]

_MODULES = {
    "overlap": ("class_iou", "confusion_matrix", "dice", "mean_iou"),
    "surface": ("hd95",),
    "topology": ("betti_error", "betti_matching_error", "cldice", "local_betti_error"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List public names that are not yet imported, too, for tab completion."""
    return sorted({*globals(), *__all__})
