"""Configs of the expansion and shrinkage samplers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from wsss.validation import Settings

MAX_CHANNELS = 1 << 16
"""Maximum number of channels of a layer: a larger value is a mistake that would exhaust memory."""


class SamplerConfig(Settings):
    """A deformable sampler between features and classifier."""

    kernel_size: Literal[1, 3, 5] = Field(default=1, description="kernel size of the deformable convolution")
    offsets: Literal["learned", "random", "none"] = Field(
        default="learned",
        description="learned: predicted from the features; random (0.8 R on average) and none are controls, which "
        "ignore the settings of learned ones",
    )
    max_offset: float | None = Field(
        default=1.5, gt=0, description="R: offsets are R·tanh(o/R), in feature pixels; null: unbounded"
    )
    centre: bool = Field(
        default=True,
        description="subtract each offset's mean over the image before the bound, so that no common shift is learned",
    )
    offset_groups: int = Field(
        default=1,
        ge=1,
        description="number of channel groups with separate offsets; must divide the number of channels",
    )
    depthwise: bool = Field(
        default=True, description="one kernel per channel; false: mix all channels, which takes several times as long"
    )
    reduction: int | None = Field(
        default=None, ge=1, le=MAX_CHANNELS, description="number of channels in the offset branch; null: all"
    )
    offset_kernel_size: Literal[1, 3, 5] = Field(default=3, description="kernel size of the offset convolution")
    offset_init: float = Field(
        default=1e-5,
        ge=0,
        description="standard deviation of the offset convolution's initial weights; small values start near 0 offsets",
    )

    @model_validator(mode="after")
    def _random_offsets_are_bounded(self) -> SamplerConfig:
        if self.offsets == "random" and self.max_offset is None:
            raise ValueError("max_offset: expected a number of feature pixels for random offsets, got null")
        return self


class ExpansionConfig(SamplerConfig):
    """The expansion sampler, whose offsets learn to increase the loss that all other parameters decrease."""

    reversal: float = Field(
        default=1.0,
        ge=0,
        description="α: the gradient of the offset branch is multiplied by −α; 0: unchanged. Adam normalises "
        "gradients, so only the sign matters there: set offset_lr_factor",
    )


class ShrinkageConfig(SamplerConfig):
    """The shrinkage sampler, applied after the expansion sampler."""

    clip: float | None = Field(
        default=None, gt=0, le=1, description="β: features are clipped at β times their channel's maximum"
    )


class SamplingConfig(Settings):
    """The samplers of a classifier, and how the maps before and after shrinkage are merged."""

    placement: Literal["bottleneck", "features"] = Field(
        default="bottleneck",
        description="after the last feature map, or (bottleneck) before the 1×1 convolution that widens it in the "
        "MobileNets: a quarter of the channels",
    )
    expansion: ExpansionConfig | None = Field(default=None, description="expansion sampler")
    shrinkage: ShrinkageConfig | None = Field(default=None, description="shrinkage sampler")
    merge: Literal["expansion", "shrinkage", "mean", "max"] = Field(
        default="shrinkage",
        description="maps from before the shrinkage sampler, from after it, or mean or maximum of both",
    )
