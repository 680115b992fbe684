"""A network that predicts where objects end, after the boundary branch of IRN (Ahn, Cho & Kwak, CVPR 2019).

Frozen features of several strides of a trained classifier are each reduced to a few channels, resampled to one grid,
concatenated, and combined into one logit per element. IRN's networks are ResNet-50s at stride 4 with the same layers;
its second branch, the displacement field, is for instances and is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor, nn

from wsss.data.classes import Classes
from wsss.io.weights import load_description, load_weights, save_model
from wsss.models.affinity_networks.feature_grid import on_grid
from wsss.models.backbones import Normalise, OwnStatistics
from wsss.models.classifier import CAMClassifier, build_trunk
from wsss.models.config import TrainedClassifierConfig
from wsss.models.trunk import Level, Trunk
from wsss.models.weights.description import describe, load_strictly, read_description
from wsss.models.weights.initial import Origin

GROUPS = 4
"""Groups of the normalisation (Wu & He, ECCV 2018) of each level, as in IRN."""


class BoundaryConfig(TrainedClassifierConfig):
    """The classifier that the features come from, and the boundary head."""

    channels: int = Field(default=32, ge=GROUPS, multiple_of=GROUPS, description="channels per level")
    stride: int = Field(default=4, ge=1, description="image pixels per map element")


class BoundaryHead(nn.Module):
    """Feature maps of several strides → one logit per element of a grid.

    Args:
        channels: number of channels that each is reduced to; a multiple of `GROUPS`.
    """

    def __init__(self, levels: Sequence[Level], channels: int) -> None:
        super().__init__()
        self.levels = tuple(levels)
        self.reduce = nn.ModuleList(
            nn.Sequential(nn.Conv2d(level.channels, channels, 1, bias=False), nn.GroupNorm(GROUPS, channels), nn.ReLU())
            for level in levels
        )
        self.join = nn.Conv2d(channels * len(levels), 1, 1)

    def forward(self, features: list[Tensor], pixels: tuple[int, int], size: tuple[int, int]) -> Tensor:
        """Return logits ``(B, *size)``.

        Args:
            features: ``(B, C, h, w)`` each.
            pixels: height and width of the network's input.
            size: height and width of the grid, whose elements divide the image evenly.
        """
        parts = [
            on_grid(layer(values), level, pixels, size)
            for layer, level, values in zip(self.reduce, self.levels, features, strict=True)
        ]
        logits: Tensor = self.join(torch.cat(parts, 1))
        return logits[:, 0]


class BoundaryNetwork(nn.Module):
    """Images → logits of boundaries.

    Args:
        config: settings of the classifier, and of the head.
        backbone: the trunk, which is frozen.
    """

    def __init__(
        self, config: BoundaryConfig, backbone: Trunk, origin: Origin, normalise: OwnStatistics | Normalise
    ) -> None:
        super().__init__()
        self.normalise, self.backbone = normalise, backbone.requires_grad_(False)
        self.backbone.last = nn.Identity()
        self.config, self.origin = config, origin
        self.backbone.eval()
        self.head = BoundaryHead(self.backbone.levels, config.channels)

    def train(self, mode: bool = True) -> BoundaryNetwork:
        """See `torch.nn.Module.train`; the frozen trunk stays in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    @torch.no_grad()
    def features(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps of images ``(B, 3, H, W)``, uint8 or floats in [0, 1]."""
        return self.backbone.features(self.normalise(images))

    def grid(self, pixels: tuple[int, int]) -> tuple[int, int]:
        """Return height and width of the boundary map of an image of this height and width."""
        return math.ceil(pixels[0] / self.config.stride), math.ceil(pixels[1] / self.config.stride)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, ⌈H / stride⌉, ⌈W / stride⌉)`` of images ``(B, 3, H, W)``."""
        pixels = (images.shape[2], images.shape[3])
        logits: Tensor = self.head(self.features(images), pixels, self.grid(pixels))
        return logits

    @torch.no_grad()
    def boundaries(self, image: Tensor) -> Tensor:
        """Return the probability of a boundary ``(h, w)``, averaged over an image ``(3, H, W)`` and its mirror."""
        upright, mirrored = (self(view[None])[0].sigmoid() for view in (image, image.flip(2)))
        return (upright + mirrored.flip(1)) / 2


def build_boundary_network(classifier: CAMClassifier, *, channels: int, stride: int) -> BoundaryNetwork:
    """Build a network on the trunk of a classifier, with a random head; the classifier cannot be used afterwards.

    Args:
        classifier: see `wsss.models.classifier`.
        channels, stride: see `BoundaryConfig`.
    """
    config = BoundaryConfig(
        **{name: getattr(classifier.config, name) for name in TrainedClassifierConfig.model_fields},
        channels=channels,
        stride=stride,
    )
    return BoundaryNetwork(config, classifier.backbone, classifier.origin, classifier.normalise)


def save_boundary_network(folder: Path, network: BoundaryNetwork, classes: Classes) -> None:
    """Write ``model.safetensors`` and ``model.json`` for `load_boundary_network`."""
    save_model(folder, network.state_dict(), describe("affinity", BoundaryConfig, network, classes))


def load_boundary_network(folder: Path) -> tuple[BoundaryNetwork, Classes]:
    """Load the network of an `affinity` stage, in evaluation mode on the CPU.

    Raises:
        InvalidInput: no such network in the folder, or an invalid one.
    """
    description = load_description(folder, "affinity")
    config, origin, classes = read_description("affinity", BoundaryConfig, description, folder)
    backbone, _ = build_trunk(config, origin)
    own = config.convnet is not None and config.convnet.normalisation == "image"
    network = BoundaryNetwork(config, backbone, origin, OwnStatistics() if own else Normalise(origin.mean, origin.std))
    load_strictly(network, load_weights(folder), folder)
    return network.eval(), classes
