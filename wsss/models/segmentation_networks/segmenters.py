"""Segmentation networks: a backbone with torchvision's DeepLabV3 or LR-ASPP head, or a U-Net."""

from __future__ import annotations

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from wsss.data.classes import Classes
from wsss.errors import InvalidInput
from wsss.io.rasters.pixel_values.reading import PLAIN, Reading
from wsss.io.weights import load_description, load_weights, save_model
from wsss.models.architectures import without_tag
from wsss.models.backbones import Normalise, build_backbone
from wsss.models.classifier import CAMClassifier
from wsss.models.config import NO_TRUNK, SegmenterConfig
from wsss.models.padding import padded
from wsss.models.segmentation_networks.unet import UNet
from wsss.models.segmentation_networks.upsampling import to_pixels
from wsss.models.trunk import Features, Trunk
from wsss.models.weights.description import BACKGROUND_WEIGHT, describe, load_strictly, read_description, read_reading
from wsss.models.weights.initial import Origin, is_folded


class DeepLabV3Head(nn.Module):
    """Atrous spatial pyramid pooling on the high features (Chen et al., 2017); needs batches of at least 2 to train."""

    def __init__(self, channels: int, classes: int, rates: tuple[int, ...]) -> None:
        super().__init__()
        from torchvision.models.segmentation.deeplabv3 import DeepLabHead

        self.layers = DeepLabHead(channels, classes, atrous_rates=rates)

    def forward(self, features: Features) -> Tensor:
        """Return logits ``(B, C, h, w)`` at the stride of the high features."""
        logits: Tensor = self.layers(features.high)
        return logits


class LRASPPHead(nn.Module):
    """Lite reduced ASPP on low and high features (Howard et al., ICCV 2019)."""

    def __init__(self, low_channels: int, channels: int, classes: int, width: int) -> None:
        super().__init__()
        from torchvision.models.segmentation.lraspp import LRASPPHead as Layers

        self.layers = Layers(low_channels, channels, classes, width)

    def forward(self, features: Features) -> Tensor:
        """Return logits ``(B, C, h, w)`` at the stride of the low features (8)."""
        logits: Tensor = self.layers({"low": features.low, "high": features.high})
        return logits


class Segmenter(nn.Module):
    """Images → logits per pixel.

    Args:
        config: head and its settings.
        backbone: see `wsss.models.backbones`.
        origin: origin of its weights; images are normalised by its mean and std.
        classes: number C of classes, including the background.
    """

    def __init__(self, config: SegmenterConfig, backbone: Trunk, origin: Origin, classes: int) -> None:
        super().__init__()
        self.normalise = Normalise(origin.mean, origin.std)
        self.backbone = backbone
        self.head: nn.Module
        if config.head == "deeplabv3":
            rates = config.atrous_rates or ((12, 24, 36) if backbone.output_stride == 8 else (6, 12, 18))
            self.head = DeepLabV3Head(backbone.channels, classes, rates)
        else:
            self.head = LRASPPHead(backbone.low_channels, backbone.channels, classes, config.head_channels)
        self.config, self.origin = config, origin

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, C, H, W)`` of images ``(B, 3, H, W)``, uint8 or floats in [0, 1]."""
        trunk, size = self.backbone, (images.shape[2], images.shape[3])
        # Training crops are multiples of the stride. At other sizes, the logits would be stretched over the image, and
        # shifted by up to a stride relative to those in training.
        pixels = padded(self.normalise(images), trunk.output_stride)
        logits = self.head(trunk(pixels))
        if not trunk.exact_upsampling:
            enlarged = F.interpolate(logits, pixels.shape[2:], mode="bilinear", align_corners=False)
            return enlarged[:, :, : size[0], : size[1]]
        if self.config.head == "lraspp":
            return to_pixels(logits, size, stride=trunk.low_stride, offset=trunk.low_offset)
        return to_pixels(logits, size, stride=trunk.output_stride, offset=trunk.output_offset)


SegmentationNetwork = Segmenter | UNet
"""Images → logits per pixel; in training mode, a `UNet` may return a list, the finest first."""


def build_segmenter(
    config: SegmenterConfig, classes: int, *, start: CAMClassifier | None = None
) -> SegmentationNetwork:
    """Build a segmentation network with a random head.

    Args:
        config: backbone and head, or the U-Net.
        classes: number C of classes, including the background.
        start: initialise the trunk from this classifier instead of ``config.backbone.weights``.

    Raises:
        InvalidInput: see `check_start` and `wsss.models.backbones.build_backbone`.
        RunFailed: torchvision's weights cannot be downloaded.
    """
    if start is not None:
        check_start(config, start)
    if config.backbone is None:
        return UNet(config, classes)
    if start is None:
        backbone, origin = build_backbone(config.backbone, last=False)
        return Segmenter(config, backbone, origin, classes)
    origin = Origin({**start.origin.description, "trained_as": "classifier"}, start.origin.mean, start.origin.std)
    backbone, _ = build_backbone(config.backbone, last=False, origin=origin)
    weights = start.backbone.state_dict()
    backbone.load_state_dict({name: weights[name] for name in backbone.state_dict()})
    return Segmenter(config, backbone, origin, classes)


def check_start(config: SegmenterConfig, start: CAMClassifier) -> None:
    """Require that the trunk of a classifier can initialise a network.

    Raises:
        InvalidInput: it has a different architecture, or the network has no trunk; or its BatchNorm is folded into its
            convolutions, but would be trained.
    """
    if config.backbone is None:
        raise InvalidInput(
            NO_TRUNK, subject="head", hint="Remove the classifier from the stage's needs, or choose another head."
        )
    trunk = start.config.trunk
    if without_tag(trunk) != without_tag(config.backbone.name):
        raise InvalidInput(
            subject="backbone.name",
            allowed=f"{trunk}, as in the classifier that initialises the trunk",
            found=config.backbone.name,
            hint=f"Set backbone.name: {trunk}, or remove the classifier from the stage's needs.",
        )
    if not config.backbone.freeze_batchnorm and is_folded(start.backbone.state_dict()):
        raise InvalidInput(
            "the BatchNorm statistics of the classifier's weights are folded into the convolutions, but training needs "
            "them",
            subject="backbone.freeze_batchnorm",
            hint="Set backbone.freeze_batchnorm: true, as in the preset of the classifier, or remove the classifier "
            "from the stage's needs.",
        )


def save_segmenter(
    folder: Path,
    segmenter: SegmentationNetwork,
    classes: Classes,
    reading: Reading = PLAIN,
    *,
    background_weight: float | None = None,
) -> None:
    """Write ``model.safetensors`` and ``model.json`` for `load_segmenter` and `load_reading`.

    Args:
        background_weight: of a calibrated network: the factor of the background's probability that its last layer has.
    """
    description = describe("segmenter", SegmenterConfig, segmenter, classes, reading)
    if background_weight is not None:
        description[BACKGROUND_WEIGHT] = background_weight
    save_model(folder, segmenter.state_dict(), description)


def load_segmenter(folder: Path) -> tuple[SegmentationNetwork, Classes]:
    """Load the network of a `segment` or `calibrate` stage, in evaluation mode on the CPU.

    Raises:
        InvalidInput: no segmentation network in the folder, or an invalid one.
    """

    config, origin, classes = read_description(
        "segmenter", SegmenterConfig, load_description(folder, "segmenter"), folder
    )
    segmenter = _rebuild(config, origin, len(classes))
    load_strictly(segmenter, load_weights(folder), folder)
    return segmenter.eval(), classes


def load_reading(folder: Path) -> Reading:
    """Return how the training images of the network of a `segment` or `calibrate` stage were converted to 8-bit RGB.

    Raises:
        InvalidInput: no segmentation network in the folder, or an invalid one.
    """
    return read_reading(load_description(folder, "segmenter"), folder)


def load_background_weight(folder: Path) -> float | None:
    """Return the background weight of a calibrated network, ``None`` if the network is not calibrated.

    Raises:
        InvalidInput: no segmentation network in the folder.
    """
    weight: float | None = load_description(folder, "segmenter").get(BACKGROUND_WEIGHT)
    return weight


def _rebuild(config: SegmenterConfig, origin: Origin, classes: int) -> SegmentationNetwork:
    if config.backbone is None:
        return UNet(config, classes)
    return Segmenter(config, build_backbone(config.backbone, last=False, origin=origin)[0], origin, classes)
