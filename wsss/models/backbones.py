"""Backbones: classification networks, dilated, as feature extractors.

Images are uint8 0 … 255 or floats in [0, 1]. Normalisation is part of the networks (`Normalise`), because it belongs to
the weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from wsss.errors import InvalidInput, Verbatim
from wsss.models.architectures import ARCHITECTURES, TIMM
from wsss.models.config import BackboneConfig, LocalWeights
from wsss.models.timm_backbones.timm_trunk import build_timm_trunk, check_timm
from wsss.models.trunk import Level, Trunk
from wsss.models.weights.folding import freeze_batchnorm
from wsss.models.weights.frozen_layers import freeze_to_stride
from wsss.models.weights.initial import Origin, load_initial, read_fitting

LOW_STRIDE = 8
"""Pixels per element of the low features."""

UNDILATED = 32
"""Output stride of the networks of torchvision."""


class Normalise(nn.Module):
    """Normalise RGB images by a fixed mean and standard deviation."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor, statistics: Tensor | None = None) -> Tensor:
        """Return ``(B, 3, H, W)`` floats.

        Args:
            images: ``(B, 3, H, W)`` uint8 in 0 … 255, or floats in [0, 1].
            statistics: ignored; see `OwnStatistics`.
        """
        return (_floats(images) - self.mean) / self.std

    def scale(self, images: Tensor) -> Tensor:
        """Return the divisor of the images, ``(1 or B, 3, 1, 1)`` in [0, 1]."""
        return self.std


whole_image_statistics: ContextVar[Tensor | None] = ContextVar("whole_image_statistics", default=None)
"""Mean and standard deviation ``(1, 2, 3)`` that `OwnStatistics` uses in this thread instead of the images' own."""


class OwnStatistics(nn.Module):
    """Normalise each channel of each image to zero mean and unit variance."""

    MIN_STD = 1 / 255
    """Lower bound of the standard deviation, one grey level: avoids amplifying noise of uniform images."""

    def forward(self, images: Tensor, statistics: Tensor | None = None) -> Tensor:
        """Return ``(B, 3, H, W)`` floats.

        Args:
            images: ``(B, 3, H, W)`` uint8 in 0 … 255, or floats in [0, 1].
            statistics: ``(B, 2, 3)`` mean and standard deviation in [0, 1] to use instead of the images' own: for
                tiles, those of the whole image.
        """
        images = _floats(images)
        if statistics is None and (whole := whole_image_statistics.get()) is not None:
            statistics = whole.to(images.device)
        if statistics is None:
            mean, scale = images.mean((2, 3), keepdim=True), self.scale(images)
        else:
            mean, std = statistics[..., None, None].unbind(1)
            scale = std.clamp(min=self.MIN_STD)
        return (images - mean) / scale

    def scale(self, images: Tensor) -> Tensor:
        """Return the divisor of the images, ``(B, 3, 1, 1)`` in [0, 1]."""
        return _floats(images).std((2, 3), keepdim=True, correction=0).clamp(min=self.MIN_STD)


def _floats(images: Tensor) -> Tensor:
    return images.float() / 255 if images.dtype == torch.uint8 else images


@dataclass(frozen=True)
class Architecture:
    """A classification network with random weights, split into units.

    Args:
        network: the whole network; its parameter names are those of weight files.
        units: its layers in order up to the last feature map, each with at most one stride of 2.
        low: number of units up to stride 8.
        last: 1×1 convolution that widens the features before the classifier, or ``None``.
        classifier: prefix of the classifier's parameter names, such as ``"fc."``.
    """

    network: nn.Module
    units: list[nn.Module]
    low: int
    last: nn.Module | None
    classifier: str


class Backbone(Trunk):
    """A classification network up to its last feature map.

    Args:
        architecture: the network, split into units.
        output_stride: pixels per feature.
        last: also apply the 1×1 convolution before the classifier, if the architecture has one.
    """

    def __init__(self, architecture: Architecture, *, output_stride: int, last: bool) -> None:
        super().__init__()
        self.ends = stage_ends(architecture.units)
        dilate(architecture.units, output_stride)
        self.low = nn.Sequential(*architecture.units[: architecture.low])
        self.high = nn.Sequential(*architecture.units[architecture.low :])
        self.last = architecture.last if last and architecture.last is not None else nn.Identity()
        self.low_stride, self.output_stride = LOW_STRIDE, output_stride
        with torch.no_grad():
            self.eval()
            low = self.low(torch.zeros(1, 3, 64, 64))
            body = self.high(low)
            _require_stride("low", low, LOW_STRIDE)
            _require_stride("units", body, output_stride)
            self.low_channels, self.body_channels = low.shape[1], body.shape[1]
            self.channels = self.last(body).shape[1]
            maps = self.features(torch.zeros(1, 3, 64, 64))
            self.levels = tuple(Level(each.shape[1], 64 // each.shape[2]) for each in maps)
            self.train()

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the last feature map of every resolution of the undilated network from stride 4; see `Trunk`."""
        maps = []
        for index, unit in enumerate(chain(*map(nn.Module.children, (self.low, self.high)))):
            images = unit(images)
            if index in self.ends:
                maps.append(images)
        return maps


def build_backbone(config: BackboneConfig, *, last: bool = True, origin: Origin | None = None) -> tuple[Trunk, Origin]:
    """Build a backbone with its initial weights.

    Args:
        config: architecture, output stride, weights, frozen BatchNorm and layers.
        last: see `Backbone`; classifiers use the wide features, segmentation heads the narrow ones.
        origin: set to skip loading initial weights, when a trained network is rebuilt.

    Returns:
        The backbone, and the origin of its weights (with their normalisation).

    Raises:
        InvalidInput: the weights file is missing, invalid, or of another architecture; or the network of timm or
            another package has another stride or no feature maps.
        RunFailed: torchvision's or timm's weights cannot be downloaded.
    """
    if config.name.startswith(TIMM):
        return build_timm_trunk(config, last=last, origin=origin)
    architecture = build_architecture(config.name)
    origin = origin or load_initial(
        architecture.network,
        config.name,
        config.weights,
        classifier=architecture.classifier,
        frozen=config.freeze_batchnorm,
    )
    backbone = Backbone(architecture, output_stride=config.output_stride or UNDILATED, last=last)
    if config.freeze_batchnorm:
        freeze_batchnorm(backbone)
    if config.freeze_to_stride is not None:
        freeze_to_stride(backbone, config.freeze_to_stride, config.name)
    return backbone, origin


def check_weights_fit(config: BackboneConfig) -> None:
    """Require that a local weights file fits the architecture and, for timm, that the network is usable.

    Raises:
        InvalidInput: the file is missing, invalid, or of another architecture; or see `build_backbone`.
    """
    if config.name.startswith(TIMM):
        check_timm(config)
    elif isinstance(config.weights, LocalWeights):
        with torch.device("meta"):  # names and shapes are enough
            architecture = build_architecture(config.name)
        read_fitting(
            architecture.network,
            config.name,
            config.weights.path,
            classifier=architecture.classifier,
            frozen=config.freeze_batchnorm,
        )


def _require_stride(part: str, features: Tensor, stride: int) -> None:
    """Require the stride of the features ``(1, D, h, w)`` of an image of 64 × 64 pixels.

    Networks of other packages may have layers that `dilate` does not know, such as average pooling.
    """
    if features.shape[2:] != (64 // stride, 64 // stride):
        raise InvalidInput(
            subject=f"Architecture.{part}",
            found=Verbatim(f"{features.shape[2]}×{features.shape[3]} features of an image of 64×64"),
            allowed=f"{64 // stride}×{64 // stride}, a stride of {stride}",
            hint="Only padded convolutions with a stride of 2 are dilated. With other layers that reduce the "
            "resolution, choose another output_stride.",
        )


def stage_ends(units: Sequence[nn.Module]) -> frozenset[int]:
    """Return the indices of the last unit of every resolution from stride 4, in the network before `dilate`."""
    strides = []
    stride = 1
    for unit in units:
        layers = list(unit.modules())
        stride *= 2 ** sum(isinstance(layer, nn.MaxPool2d) for layer in layers)
        stride *= 2 if any(isinstance(layer, nn.Conv2d) and layer.stride[0] == 2 for layer in layers) else 1
        strides.append(stride)
    following = [*strides[1:], 0]
    return frozenset(index for index, here in enumerate(strides) if here >= 4 and following[index] != here)


def dilate(units: Iterable[nn.Module], output_stride: int) -> None:
    """Replace strides beyond ``output_stride`` by dilation, in place (Chen et al., DeepLab).

    A convolution without its stride also computes the skipped positions, and the dilation of all later ones doubles: at
    the positions of the original network, the results are unchanged.

    Args:
        units: layers in order, each with at most one stride of 2 (besides its shortcut).
        output_stride: 8, 16 or 32.
    """
    stride, dilation = 1, 1
    for unit in units:
        after, strided = dilation, False
        for module in unit.modules():
            if isinstance(module, nn.MaxPool2d):
                stride *= 2
            if not isinstance(module, nn.Conv2d):
                continue
            here = after
            if module.stride[0] == 2:
                if not strided and stride * 2 <= output_stride:
                    stride *= 2
                elif not strided:
                    after = dilation * 2
                strided = True
                if after > dilation:
                    module.stride = (1, 1)
            if here > 1 and module.kernel_size[0] > 1:
                module.dilation = (here, here)
                module.padding = tuple(here * (size - 1) // 2 for size in module.kernel_size)
        dilation = after


def build_architecture(name: str) -> Architecture:
    """Build a network of `wsss.models.architectures.ARCHITECTURES` with random weights.

    Raises:
        InvalidInput: the function of another package cannot be imported, or returns something else.
    """
    architecture = ARCHITECTURES[name](name)
    if not isinstance(architecture, Architecture):
        subject = f"{ARCHITECTURES.entry(name).subject}: return value"
        raise InvalidInput(subject=subject, allowed="a wsss.models.backbones.Architecture", found=architecture)
    return architecture


def resnet(name: str) -> Architecture:
    """Build one of torchvision's ResNets."""
    import torchvision

    network = torchvision.models.get_model(name, weights=None)
    children = dict(network.named_children())
    stem = nn.Sequential(*(children[part] for part in ("conv1", "bn1", "relu", "maxpool")))
    stages = [list(children[f"layer{number}"].children()) for number in (1, 2, 3, 4)]
    return Architecture(network, [stem, *chain(*stages)], 1 + len(stages[0]) + len(stages[1]), None, "fc.")


def mobilenet(name: str) -> Architecture:
    """Build one of torchvision's MobileNets; their first seven units end at stride 8."""

    import torchvision

    network = torchvision.models.get_model(name, weights=None)
    features = list(dict(network.named_children())["features"].children())
    return Architecture(network, features[:-1], 7, features[-1], "classifier.")
