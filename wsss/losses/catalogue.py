"""Names of the losses. Torch is imported only when a loss is built."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from wsss.errors import InvalidInput
from wsss.extensions import Extensions

LOSSES = Extensions(
    "wsss.losses",
    {
        "ce": "wsss.losses.config:CrossEntropyConfig",
        "dice": "wsss.losses.config:DiceConfig",
        "ce_dice": "wsss.losses.config:CrossEntropyDiceConfig",
        "region_wise": "wsss.losses.config:RegionWiseConfig",
        "betti_matching": "wsss.losses.config:BettiMatchingConfig",
        "cldice": "wsss.losses.config:ClDiceConfig",
        "skeleton_recall": "wsss.losses.config:SkeletonRecallConfig",
        "topo": "wsss.losses.config:TopoConfig",
        "topoloss": "wsss.losses.config:TopoLossConfig",
        "cbdice": "wsss.losses.config:CbDiceConfig",
        "warping": "wsss.losses.config:WarpingConfig",
    },
)
"""Name → config class, which names the class of the loss; other packages add theirs by entry points."""


def loss_class(name: str) -> Any:
    """Return the class of a loss by its name.

    Raises:
        InvalidInput: unknown name.
    """
    if name not in LOSSES:
        raise InvalidInput("unknown loss", subject="loss.name", found=name, allowed=LOSSES)
    module, _, attribute = LOSSES[name].loss.partition(":")
    return getattr(import_module(module), attribute)
