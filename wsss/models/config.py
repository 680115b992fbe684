"""Configs of the networks. No torch here: the command line reads configs to check a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from wsss.errors import InvalidInput
from wsss.extensions import Extensions
from wsss.validation import Settings

ARCHITECTURES = Extensions(
    "wsss.backbones",
    {
        "resnet18": "wsss.models.backbones:resnet",
        "resnet50": "wsss.models.backbones:resnet",
        "mobilenet_v2": "wsss.models.backbones:mobilenet",
        "mobilenet_v3_large": "wsss.models.backbones:mobilenet",
    },
)
"""Name of a backbone → function that builds its `wsss.models.backbones.Architecture`."""

if TYPE_CHECKING:
    ArchitectureName = str
else:
    ArchitectureName = Literal[tuple(ARCHITECTURES)]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

MOST_CHANNELS = 1 << 16
"""Channels of a layer, at most: more is a slip, and would take hours or all memory before anything is said."""

Positive = Annotated[float, Field(gt=0)]


def _of_unit_range(values: tuple[float, float, float]) -> tuple[float, float, float]:
    """Refuse what is meant for pixels of 0 to 255: networks get them in [0, 1]."""
    if max(values) > 1:
        raise ValueError("expected numbers for pixel values in [0, 1], at most 1; divide those for 0…255 by 255")
    return values


_Share = Annotated[float, Field(ge=0)]

Mean = Annotated[tuple[_Share, _Share, _Share], AfterValidator(_of_unit_range)]
"""Mean of red, green and blue, in [0, 1]."""

Deviation = Annotated[tuple[Positive, Positive, Positive], AfterValidator(_of_unit_range)]
"""Standard deviation of red, green and blue, in (0, 1]."""

Scale = Annotated[float, Field(gt=0, le=8)]
"""Scale factor of an image."""

NO_TRUNK = "head: dynunet has no trunk that could start from a classifier's."


class Views(Settings):
    """How an image is presented to a trained network."""

    scales: tuple[Scale, ...] = Field(default=(1.0,), min_length=1, description="scale factors of the image")
    flip: bool = Field(default=False, description="also use the mirrored image")
    max_side: int | None = Field(default=None, ge=16, description="maximum longer side in pixels")


class LocalWeights(Settings):
    """Initial weights from a file, with the normalisation they were trained with."""

    path: Path = Field(description="torch file (state dict) or .safetensors, with torchvision's key names")
    mean: Mean = Field(default=IMAGENET_MEAN, description="mean of red, green, blue, in [0, 1]")
    std: Deviation = Field(
        default=IMAGENET_STD, description="standard deviation of red, green, blue, above 0 and at most 1"
    )


class Normalisation(Settings):
    """Fixed mean and deviation that images are normalised by."""

    mean: Mean = Field(default=IMAGENET_MEAN, description="mean of red, green, blue, in [0, 1]")
    std: Deviation = Field(
        default=IMAGENET_STD, description="standard deviation of red, green, blue, above 0 and at most 1"
    )


class BackboneConfig(Settings):
    """A classification network without its classifier: torchvision's, or one that another package adds."""

    name: ArchitectureName = Field(default="mobilenet_v2", description="architecture")
    output_stride: Literal[8, 16, 32] = Field(
        default=16, description="pixels per feature; below 32, strides are replaced by dilation"
    )
    weights: Literal["imagenet", "imagenet-v1", "none"] | LocalWeights = Field(
        default="imagenet",
        description="initial weights: torchvision's default ImageNet weights, its older ones, random (none), or a file",
    )
    freeze_batchnorm: bool = Field(
        default=False,
        description="keep BatchNorm's statistics and affine parameters as they are in the initial weights",
    )

    @model_validator(mode="after")
    def _frozen_statistics_exist(self) -> BackboneConfig:
        if self.freeze_batchnorm and self.weights == "none":
            raise ValueError("freeze_batchnorm: true needs initial weights: random ones have no statistics to keep")
        return self


def check_weights(config: BackboneConfig | None) -> None:
    """Check that a local weights file is there, before anything runs.

    Raises:
        InvalidInput: it isn't.
    """
    if config is not None and isinstance(config.weights, LocalWeights) and not config.weights.path.is_file():
        raise InvalidInput(
            f"{config.weights.path}: no such weights file.",
            hint="Give the path of an existing file in backbone.weights.path.",
        )


class ConvNetConfig(Settings):
    """A small fully-convolutional network in place of a backbone: it sees little around a pixel, but that sharply."""

    widths: tuple[Annotated[int, Field(ge=1, le=MOST_CHANNELS)], ...] = Field(
        default=(16, 16), min_length=1, description="channels of each convolution"
    )
    wide: int = Field(
        default=1,
        ge=0,
        description="number of 3×3 convolutions, which come first; each widens the receptive field by one feature. The "
        "others are 1×1",
    )
    stride: Literal[1, 2] = Field(default=1, description="pixels per feature")
    normalisation: Literal["image"] | Normalisation = Field(
        default="image",
        description="normalise by each image's own mean and standard deviation per channel (a tile "
        "by those of its image), "
        "or by fixed ones",
    )

    @model_validator(mode="after")
    def _as_many_as_there_are(self) -> ConvNetConfig:
        if self.wide > len(self.widths):
            raise ValueError(f"wide: {self.wide} of {len(self.widths)} convolutions; there aren't as many")
        return self


class ClassifierConfig(Settings):
    """The CAM classifier: backbone (or a small network in its place), bias-free 1×1 convolution, pooling."""

    backbone: BackboneConfig | None = Field(default_factory=BackboneConfig, description="trunk; null if convnet is set")
    convnet: ConvNetConfig | None = Field(
        default=None, description="a small fully-convolutional network instead of the backbone, for thin structures"
    )
    pooling: Literal["mean", "max", "lse", "topk"] = Field(
        default="mean",
        description="pooling of a map to an image score: mean suits objects in photographs; max, lse "
        "(log-sum-exp) and topk "
        "(mean of the largest values) suit thin structures",
    )
    lse_sharpness: Positive = Field(
        default=5.0, description="sharpness r of log-sum-exp: near 0 it is the mean, for large values the maximum"
    )
    topk_fraction: float = Field(default=0.25, gt=0, le=1, description="fraction of positions averaged by topk")
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="dropout of whole feature channels before the classifier"
    )

    @model_validator(mode="before")
    @classmethod
    def _convnet_replaces_the_default(cls, value: Any) -> Any:
        """Leave ``backbone`` at its default only where it counts, so that no config says both."""
        if isinstance(value, Mapping) and value.get("convnet") is not None and "backbone" not in value:
            return {**value, "backbone": None}
        return value

    @model_validator(mode="after")
    def _one_trunk(self) -> ClassifierConfig:
        if self.backbone is not None and self.convnet is not None:
            raise ValueError("give either backbone or convnet; where a preset gives the other, set that to null")
        if self.backbone is None and self.convnet is None:
            raise ValueError("give backbone or convnet: both are null")
        return self

    @property
    def trunk(self) -> str:
        """What the trunk is called in tables."""
        return self.backbone.name if self.backbone is not None else "convnet"


class SamplerConfig(Settings):
    """A deformable sampler between features and classifier: where it looks, and how far away."""

    kernel_size: Literal[1, 3, 5] = Field(default=1, description="kernel size of the deformable convolution")
    offsets: Literal["learned", "random", "none"] = Field(
        default="learned",
        description="learned from the features; as controls, random ones (0.8 R on average) or none, "
        "for which the settings "
        "of learned ones have no effect",
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
        default=None, ge=1, le=MOST_CHANNELS, description="number of channels in the offset branch; null: all"
    )
    offset_kernel_size: Literal[1, 3, 5] = Field(default=3, description="kernel size of the offset convolution")
    offset_init: float = Field(
        default=1e-5,
        ge=0,
        description="standard deviation of the offset convolution's initial weights: small, so that "
        "offsets start near 0",
    )

    @model_validator(mode="after")
    def _random_ones_have_a_size(self) -> SamplerConfig:
        if self.offsets == "random" and self.max_offset is None:
            raise ValueError("max_offset: random offsets have no size without it; give a number of feature pixels")
        return self


class ExpansionConfig(SamplerConfig):
    """The expansion sampler: its offsets learn to raise the loss that everything else lowers."""

    reversal: float = Field(
        default=1.0,
        ge=0,
        description="α: the gradient of the offset branch is multiplied by −α; 0: unchanged. Adam "
        "normalises gradients, so "
        "only the sign matters there: set offset_lr_factor",
    )


class ShrinkageConfig(SamplerConfig):
    """The shrinkage sampler, behind the expansion sampler."""

    clip: float | None = Field(
        default=None, gt=0, le=1, description="β: features are clipped at β times their channel's maximum"
    )


class SamplingConfig(Settings):
    """The samplers of a classifier, and which of them its maps come through."""

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


class TrainedClassifierConfig(ClassifierConfig):
    """What ``model.json`` says of a classifier: that of `classify`, and the samplers that later stages added."""

    sampling: SamplingConfig | None = Field(default=None, description="samplers; none after `classify`")


class UNetConfig(Settings):
    """MONAI's DynUNet, the U-Net of nnU-Net: no backbone, random initial weights."""

    levels: int = Field(
        default=8,
        ge=3,
        le=10,
        description="number of resolutions; images are padded to multiples of 2^(levels − 1) pixels, at least two",
    )
    filters: tuple[Annotated[int, Field(ge=1, le=MOST_CHANNELS)], ...] | None = Field(
        default=None, description="channels of each level, finest first; by default 32, doubled up to 512"
    )
    deep_supervision: Annotated[int, Field(ge=0)] | Literal["all"] = Field(
        default="all", description="number of coarser levels with an output in training; all: levels − 2"
    )
    normalisation: Literal["image"] | Normalisation = Field(
        default="image",
        description="normalise by each image's own mean and standard deviation per channel, or by fixed ones",
    )

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each level, the finest first."""
        return self.filters or tuple(min(32 * 2**level, 512) for level in range(self.levels))

    @property
    def coarse_outputs(self) -> int:
        """Number of outputs besides the finest."""
        return self.levels - 2 if self.deep_supervision == "all" else self.deep_supervision

    @model_validator(mode="after")
    def _fits_the_levels(self) -> UNetConfig:
        if self.filters is not None and len(self.filters) != self.levels:
            raise ValueError(f"filters: {len(self.filters)} numbers for {self.levels} levels; one each is needed")
        if self.coarse_outputs > self.levels - 2:
            raise ValueError(
                f"deep_supervision: {self.deep_supervision} coarser outputs; {self.levels} levels have at most "
                f"{self.levels - 2}"
            )
        return self


class SegmenterConfig(Settings):
    """A segmentation network: backbone and head, or a U-Net, which is both."""

    backbone: BackboneConfig | None = Field(default_factory=BackboneConfig, description="trunk; null for dynunet")
    head: Literal["deeplabv3", "lraspp", "dynunet"] = Field(
        default="lraspp",
        description="torchvision's DeepLabV3 or LR-ASPP head, or MONAI's DynUNet, which has no backbone",
    )
    head_channels: int = Field(
        default=128, ge=1, le=MOST_CHANNELS, description="width of the LR-ASPP head (DeepLabV3's is 256)"
    )
    atrous_rates: tuple[Annotated[int, Field(ge=1, le=4096)], ...] | None = Field(
        default=None,
        description="dilations of DeepLabV3's ASPP; by default 6, 12, 18 at output stride 16 or 32, doubled at 8",
    )
    unet: UNetConfig | None = Field(default=None, description="settings of head dynunet; null for the other heads")

    @model_validator(mode="before")
    @classmethod
    def _dynunet_has_no_backbone(cls, value: Any) -> Any:
        """Let the config of a DynUNet say that there is no backbone, and what there is instead."""
        if not isinstance(value, Mapping) or value.get("head") != "dynunet":
            return value
        for name in ("backbone", "head_channels", "atrous_rates"):
            default = cls.model_fields[name].default if name != "backbone" else None
            if value.get(name, default) not in (None, default):
                raise ValueError(
                    f"head: dynunet has no {name}; leave it out"
                    + (" (backbone: null where a preset gives one)" if name == "backbone" else "")
                    + ", and describe the network in unet"
                )
        unet = UNetConfig() if value.get("unet") is None else value["unet"]
        return {**value, "backbone": None, "unet": unet}

    @model_validator(mode="after")
    def _one_network(self) -> SegmenterConfig:
        if self.head != "dynunet" and self.unet is not None:
            raise ValueError(f"unet belongs to head: dynunet; the head is {self.head}")
        if self.head != "dynunet" and self.backbone is None:
            raise ValueError(f"head: {self.head} needs a backbone")
        return self
