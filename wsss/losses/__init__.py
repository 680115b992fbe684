"""Segmentation losses as torch modules: ``BettiMatchingLoss(alpha=0.5)``, or by name, ``build("cldice", alpha=0.3)``.

Importing this package imports no torch; the classes are imported on first access.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wsss.losses.catalogue import LOSSES, loss_class

if TYPE_CHECKING:
    from wsss.losses.base import Loss
    from wsss.losses.noisy.noisy_labels import BootstrapLoss, LabelDistributionLoss, SymmetricCrossEntropyLoss
    from wsss.losses.output_losses import DeepSupervision
    from wsss.losses.region import CrossEntropyDiceLoss, CrossEntropyLoss, DiceLoss
    from wsss.losses.region_wise import RegionWiseLoss
    from wsss.losses.topological.betti_matching import BettiMatchingLoss
    from wsss.losses.topological.cbdice import CbDiceLoss
    from wsss.losses.topological.cldice import ClDiceLoss
    from wsss.losses.topological.skeleton_recall import SkeletonRecallLoss
    from wsss.losses.topological.topo_window import TopoWindowLoss
    from wsss.losses.topological.topoloss import TopoLoss
    from wsss.losses.topological.warping_loss import WarpingLoss

__all__ = [
    "LOSSES",
    "BettiMatchingLoss",
    "BootstrapLoss",
    "CbDiceLoss",
    "ClDiceLoss",
    "CrossEntropyDiceLoss",
    "CrossEntropyLoss",
    "DeepSupervision",
    "DiceLoss",
    "LabelDistributionLoss",
    "Loss",
    "RegionWiseLoss",
    "SkeletonRecallLoss",
    "SymmetricCrossEntropyLoss",
    "TopoLoss",
    "TopoWindowLoss",
    "WarpingLoss",
    "build",
]

_MODULES = {
    "Loss": "wsss.losses.base",
    "DeepSupervision": "wsss.losses.output_losses",
    "CrossEntropyLoss": "wsss.losses.region",
    "DiceLoss": "wsss.losses.region",
    "CrossEntropyDiceLoss": "wsss.losses.region",
    "SymmetricCrossEntropyLoss": "wsss.losses.noisy.noisy_labels",
    "BootstrapLoss": "wsss.losses.noisy.noisy_labels",
    "LabelDistributionLoss": "wsss.losses.noisy.noisy_labels",
    "RegionWiseLoss": "wsss.losses.region_wise",
    "BettiMatchingLoss": "wsss.losses.topological.betti_matching",
    "ClDiceLoss": "wsss.losses.topological.cldice",
    "SkeletonRecallLoss": "wsss.losses.topological.skeleton_recall",
    "TopoWindowLoss": "wsss.losses.topological.topo_window",
    "TopoLoss": "wsss.losses.topological.topoloss",
    "CbDiceLoss": "wsss.losses.topological.cbdice",
    "WarpingLoss": "wsss.losses.topological.warping_loss",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """List public names that are not yet imported, too, for tab completion."""
    return sorted({*globals(), *__all__})


def build(name: str, /, **settings: Any) -> Loss:
    """Build a loss by its name in pipelines (`LOSSES`).

    Args:
        name: such as ``"cldice"``.
        **settings: keyword arguments of the class.

    Raises:
        InvalidInput: unknown name or setting, or an invalid value.

    Example:
        >>> from wsss.losses import build
        >>> build("cldice", alpha=0.3).config.alpha
        0.3
    """
    loss: Loss = loss_class(name)(**settings)
    return loss
