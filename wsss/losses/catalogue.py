"""Names of the losses in pipelines, and their config classes. Torch is imported only when a loss is built.

From a pipeline to a loss: ``name`` → config class (`LOSSES`) → class of the loss (`LossSettings.loss`, `loss_class`) →
loss (`wsss.losses.base.build_loss`).
"""

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
        "symmetric_ce": "wsss.losses.noisy.noisy_label_config:SymmetricCrossEntropyConfig",
        "bootstrap": "wsss.losses.noisy.noisy_label_config:BootstrapConfig",
        "label_distribution": "wsss.losses.noisy.noisy_label_config:LabelDistributionConfig",
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
"""Name → config class, whose attribute ``loss`` names the class of the loss; other packages add entry points."""


def loss_class(name: str) -> Any:
    """Return the class of a loss by its name.

    Raises:
        InvalidInput: unknown name, the config names no loss, or the loss cannot be imported.
    """
    if name not in LOSSES:
        raise InvalidInput("unknown loss", subject="loss.name", found=name, allowed=LOSSES)
    return target_of(LOSSES.entry(name))


def target_of(entry: Entry) -> Any:
    """Return the object that the config of an entry names as its loss; for errors see `loss_class`."""
    config = entry.load()
    target = getattr(config, "loss", None)
    if not isinstance(target, str) or ":" not in target:
        subject = f"{entry.subject}: {getattr(config, '__name__', config)}.loss"
        raise InvalidInput(subject=subject, found=target, allowed='the loss, as "module:Class"')
    return replace(entry, target=target, value=None).load()
