"""Feature extractors: feature maps of several strides, each with the positions of its elements in the image.

Element i of a feature map is centred on pixel ``offset + stride·i``. For convolutions with symmetric padding, as in
ResNet, the offset is 0. For non-overlapping patches, as in ViT or ConvNeXt, it is ``(stride − 1)/2``. TensorFlow's
padding, as in EfficientNet-Lite, gives ``stride − 1``. Resampling to pixels with another offset would shift maps, by
7.5 pixels for patches of 16.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor, nn


@dataclass(frozen=True)
class Level:
    """A feature map: element i along either side is centred on pixel ``offset + stride·i``.

    Args:
        stride: pixels per element.
        offset: pixel of element 0.
    """

    channels: int
    stride: int
    offset: float = 0.0


class FeatureExtractor(Protocol):
    """A network with feature maps of several strides, the finest first."""

    levels: tuple[Level, ...]

    def features(self, images: Tensor) -> list[Tensor]:
        """Return a feature map ``(B, C, h, w)`` per level, of normalised images ``(B, 3, H, W)``."""
        ...


class Features(NamedTuple):
    """Feature maps: ``low`` ``(B, C', H/8, W/8)`` and ``high`` ``(B, C, H/s, W/s)`` with s the output stride."""

    low: Tensor
    high: Tensor


class Trunk(nn.Module):
    """A `FeatureExtractor` in two parts, ``low`` and ``high``, and a last layer.

    Attributes:
        levels: levels of `features`, the last of which is the map before ``last``.
        low_stride, output_stride: pixels per element of the low features and of the features.
        low_offset, output_offset: pixel of element 0 of the low features and of the features; see `Level`.
        low_channels, body_channels, channels: number of channels after ``low``, ``high`` and ``last``.
        has_low_maps: whether the output of ``low`` can be replaced, as gradients with respect to it require.
        exact_upsampling: whether segmentation networks upsample their logits by the positions of `levels`. Networks of
            torchvision use plain bilinear upsampling, as when their recorded results were computed.
    """

    levels: tuple[Level, ...]
    low: nn.Module
    high: nn.Module
    last: nn.Module
    low_stride: int
    output_stride: int
    low_offset: float = 0.0
    output_offset: float = 0.0
    low_channels: int
    body_channels: int
    channels: int
    has_low_maps: bool = True
    exact_upsampling: bool = False

    def features(self, images: Tensor) -> list[Tensor]:
        """Return a feature map ``(B, C, h, w)`` per level, of normalised images ``(B, 3, H, W)``."""
        low = self.low(images)
        return [low, self.high(low)]

    def forward(self, images: Tensor) -> Features:
        """Return the features of normalised images ``(B, 3, H, W)``."""
        low = self.low(images)
        return Features(low, self.last(self.high(low)))

    def body(self, images: Tensor) -> Tensor:
        """Return the features ``(B, body_channels, h, w)`` before ``last``."""
        features: Tensor = self.high(self.low(images))
        return features
