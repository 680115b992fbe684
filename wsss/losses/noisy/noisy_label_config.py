"""Configs of the losses in `wsss.losses.noisy.noisy_labels`, without torch."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from wsss.losses.config import LossSettings


class SymmetricCrossEntropyConfig(LossSettings):
    """Cross-entropy plus reverse cross-entropy, which tolerates wrong labels."""

    loss: ClassVar[str] = "wsss.losses.noisy.noisy_labels:SymmetricCrossEntropyLoss"
    name: Literal["symmetric_ce"] = "symmetric_ce"
    ce_weight: float = Field(default=1.0, ge=0, description="weight of the cross-entropy")
    reverse_weight: float = Field(default=1.0, ge=0, description="weight of the reverse cross-entropy")
    log_zero: float = Field(default=-4.0, lt=0, description="value of log 0 in the reverse cross-entropy")


class BootstrapConfig(LossSettings):
    """Cross-entropy whose target is partly the prediction of the network."""

    loss: ClassVar[str] = "wsss.losses.noisy.noisy_labels:BootstrapLoss"
    name: Literal["bootstrap"] = "bootstrap"
    label_weight: float = Field(
        default=0.95,
        ge=0,
        le=1,
        description="weight of the label in the target; the prediction has the remaining weight",
    )
    prediction: Literal["soft", "hard"] = Field(
        default="soft", description="predicted probabilities (soft), or the most probable class (hard)"
    )


class LabelDistributionConfig(LossSettings):
    """Label-distributionally robust loss."""

    loss: ClassVar[str] = "wsss.losses.noisy.noisy_labels:LabelDistributionLoss"
    name: Literal["label_distribution"] = "label_distribution"
    temperature: float = Field(
        default=1.0, gt=0, description="λ: small values punish the worst class, large ones tolerate wrong labels"
    )
    margin: float = Field(default=0.1, ge=0, description="difference of logits that the target class should exceed")
