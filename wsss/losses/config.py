"""Configs of the losses. No torch here: the command line reads configs to check a pipeline."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from wsss.validation import Settings


class CrossEntropyConfig(Settings):
    """Cross-entropy per pixel."""

    name: Literal["ce"] = "ce"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="share of the target spread over all classes")


class DiceConfig(Settings):
    """Soft Dice over classes."""

    name: Literal["dice"] = "dice"
    background: bool = Field(default=True, description="the background counts as a class")
    absent: Literal["skip", "count"] = Field(
        default="skip",
        description="classes without a target pixel: left out of the mean, or counted (any probability costs)",
    )
    per_image: bool = Field(default=False, description="Dice of each image, then the mean; else of the whole batch")
    smooth: float = Field(default=1e-5, gt=0, description="added to numerator and denominator")


class CrossEntropyDiceConfig(Settings):
    """Weighted sum of cross-entropy and soft Dice."""

    name: Literal["ce_dice"] = "ce_dice"
    ce: CrossEntropyConfig = Field(default_factory=CrossEntropyConfig, description="settings of the cross-entropy")
    dice: DiceConfig = Field(default_factory=DiceConfig, description="settings of soft Dice")
    ce_weight: float = Field(default=1.0, ge=0, description="weight of the cross-entropy")
    dice_weight: float = Field(default=1.0, ge=0, description="weight of soft Dice")


LossConfig = Annotated[CrossEntropyConfig | DiceConfig | CrossEntropyDiceConfig, Field(discriminator="name")]
"""Any loss, told apart by ``name``. A new loss adds its config here, and its class to `wsss.losses.base.LOSSES`."""
