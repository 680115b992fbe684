"""Names of the losses. Torch is imported only when a loss is built."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from wsss.errors import InvalidInput
from wsss.extensions import Entry, Extensions

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
    return class_of(LOSSES.entry(name))


def class_of(entry: Entry) -> Any:
    """Return the class of a loss by its entry.

    Raises:
        InvalidInput: the config names no loss, or the loss cannot be imported or is not a `wsss.losses.base.Loss`.
    """
    from wsss.losses.base import Loss

    config = entry.load()
    target = getattr(config, "loss", None)
    if not isinstance(target, str) or ":" not in target:
        subject = f"{entry.subject}: {getattr(config, '__name__', config)}.loss"
        raise InvalidInput(subject=subject, found=target, allowed='the loss, as "module:Class"')
    loss = replace(entry, target=target, value=None).load()
    if not (isinstance(loss, type) and issubclass(loss, Loss)):
        raise InvalidInput(subject=f"{entry.subject}: {target}", allowed="a subclass of wsss.losses.Loss", found=loss)
    return loss


def check_loss(name: str) -> None:
    """Validate the class of a loss of another package; those of `wsss` itself would only import torch.

    Raises:
        InvalidInput: as `class_of`.
    """
    if not LOSSES.entry(name).own:
        class_of(LOSSES.entry(name))
