"""A network whose features or self-attention serve as affinities of a random walk, without further training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsss.errors import InvalidInput
from wsss.models.affinity_networks.feature_grid import interpolation, on_grid
from wsss.models.backbones import Normalise, OwnStatistics, build_backbone
from wsss.models.classifier import load_classifier
from wsss.models.config import BackboneConfig
from wsss.models.timm_backbones.self_attention import self_attention
from wsss.models.trunk import Trunk
from wsss.models.weights.initial import Origin


class WalkNetwork(nn.Module):
    """A frozen trunk with the normalisation of its images.

    Args:
        name: name of its architecture, for messages and records.
        origin: origin of its weights.
    """

    def __init__(self, trunk: Trunk, normalise: OwnStatistics | Normalise, *, name: str, origin: Origin) -> None:
        super().__init__()
        self.trunk, self.normalise = trunk, normalise
        self.name, self.origin = name, origin
        self.requires_grad_(False).eval()

    @torch.no_grad()
    def vectors(self, image: Tensor, size: tuple[int, int], levels: Sequence[int]) -> Tensor:
        """Return unit vectors whose dot product is the cosine similarity of features, averaged over levels.

        A layer normalisation between the last features and the classifier, as in transformers and ConvNeXt, is applied;
        a convolution that changes the number of channels is not.

        Args:
            image: ``(3, H, W)``, uint8 or floats in [0, 1].
            size: height and width of the grid, at whose elements the features are interpolated.
            levels: indices of feature maps, the finest first; negative ones count from the coarsest.

        Returns:
            ``(*size, C)`` with C the channels of all levels.
        """
        features = self.trunk.features(self.normalise(image[None]))
        if self.trunk.channels == self.trunk.body_channels:
            features[-1] = self.trunk.last(features[-1])
        pixels = (image.shape[1], image.shape[2])
        parts = [
            F.normalize(on_grid(features[index], self.trunk.levels[index], pixels, size)[0], dim=0) for index in levels
        ]
        return torch.cat(parts).permute(1, 2, 0) / math.sqrt(len(levels))

    def attention(self, image: Tensor, blocks: int) -> Tensor:
        """Return the self-attention ``(N, N)`` between the patches of an image ``(3, H, W)``; see `self_attention`."""
        return self_attention(self.trunk, self.normalise(image[None]), blocks)

    def patch_interpolation(self, pixels: tuple[int, int], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return matrices that interpolate patches at the elements of a grid; see `interpolation`."""
        level = self.trunk.levels[-1]
        shape = (math.ceil(pixels[0] / level.stride), math.ceil(pixels[1] / level.stride))
        return interpolation(level, shape, pixels, size, device=torch.device("cpu"))


def load_walk_network(folder: Path) -> WalkNetwork:
    """Load the trunk of a classifier of a `classify`, `expand` or `shrink` stage, without its samplers.

    Raises:
        InvalidInput: the folder contains no classifier, or an invalid one.
    """
    classifier, _ = load_classifier(folder)
    return WalkNetwork(
        classifier.backbone, classifier.normalise, name=classifier.config.trunk, origin=classifier.origin
    )


def build_walk_network(config: BackboneConfig) -> WalkNetwork:
    """Build a backbone with its initial weights.

    Raises:
        InvalidInput, RunFailed: see `wsss.models.backbones.build_backbone`.
    """
    trunk, origin = build_backbone(config)
    return WalkNetwork(trunk, Normalise(origin.mean, origin.std), name=config.name, origin=origin)


def check_backbone(config: BackboneConfig, *, levels: Sequence[int] = (), blocks: int = 0) -> None:
    """Apply `check_trunk` to a network with random weights.

    Raises:
        InvalidInput: the network has no such levels or no such attention.
    """
    with torch.device("meta"):  # shapes are enough
        trunk, _ = build_backbone(config, origin=Origin.random(None))
        check_trunk(trunk.eval(), levels=levels, blocks=blocks)


def check_trunk(trunk: Trunk, *, levels: Sequence[int] = (), blocks: int = 0) -> None:
    """Require that a network has some levels of features and, unless ``blocks`` is 0, attention.

    Raises:
        InvalidInput: a level is out of range, or there is no attention in so many blocks.
    """
    count = len(trunk.levels)
    unknown = [index for index in levels if not -count <= index < count]
    if unknown:
        strides = ", ".join(str(level.stride) for level in trunk.levels)
        raise InvalidInput(
            f"the network has {count} levels of features, of strides {strides}",
            subject="feature_levels",
            found=unknown,
            allowed=f"{-count} to {count - 1}",
        )
    if blocks:
        side, device = trunk.output_stride, next(trunk.parameters()).device
        self_attention(trunk, torch.zeros(1, 3, 2 * side, 3 * side, device=device), blocks)
