"""Names of the losses. Torch is imported only when a loss is built."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from wsss.errors import InvalidInput

LOSSES = {
    "ce": "wsss.losses.region:CrossEntropyLoss",
    "dice": "wsss.losses.region:DiceLoss",
    "ce_dice": "wsss.losses.region:CrossEntropyDiceLoss",
    "region_wise": "wsss.losses.region_wise:RegionWiseLoss",
    "betti_matching": "wsss.losses.betti_matching:BettiMatchingLoss",
    "cldice": "wsss.losses.cldice:ClDiceLoss",
    "skeleton_recall": "wsss.losses.skeleton_recall:SkeletonRecallLoss",
    "topo": "wsss.losses.topo_window:TopoWindowLoss",
    "topoloss": "wsss.losses.topoloss:TopoLoss",
    "cbdice": "wsss.losses.cbdice:CbDiceLoss",
    "warping": "wsss.losses.warping_loss:WarpingLoss",
}
"""Name → module and class."""


def loss_class(name: str) -> Any:
    """Return the class of a loss by its name.

    Raises:
        InvalidInput: unknown name.
    """
    if name not in LOSSES:
        raise InvalidInput("unknown loss", subject="loss.name", found=name, allowed=LOSSES)
    module, attribute = LOSSES[name].split(":")
    return getattr(import_module(module), attribute)
