"""A small fully-convolutional trunk with a small receptive field, at (or near) the image's own resolution.

Thin structures vanish in the features of large networks: at output stride 16, a mortar joint is a fraction of a
feature. A few convolutions, most of them 1×1, distinguish mortar from brick by colour and local texture.
"""

from __future__ import annotations

from torch import nn

from wsss.models.config import ConvNetConfig
from wsss.models.trunk import Level, Trunk
from wsss.models.weights.initial import Origin


class ConvNet(Trunk):
    """3×3 convolutions (``low``), then 1×1 convolutions (``high``), each followed by ReLU; ``last`` is the identity.

    Images are padded with their border pixels, so that borders do not stand out.

    Args:
        config: widths, number of 3×3 convolutions, stride.
    """

    def __init__(self, config: ConvNetConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for number, width in enumerate(config.widths):
            side = 3 if number < config.wide else 1
            stride = config.stride if number == 0 else 1
            convolution = nn.Conv2d(channels, width, side, stride, padding=side // 2, padding_mode="replicate")
            layers.append(nn.Sequential(convolution, nn.ReLU()))
            channels = width
        split = max(1, config.wide)
        self.low, self.high, self.last = nn.Sequential(*layers[:split]), nn.Sequential(*layers[split:]), nn.Identity()
        self.low_channels = config.widths[split - 1]
        self.body_channels = self.channels = channels
        self.output_stride = self.low_stride = config.stride
        self.levels = (Level(self.low_channels, config.stride), Level(channels, config.stride))


def convnet_origin(config: ConvNetConfig) -> Origin:
    """Return the origin of random weights, with the fixed normalisation of the config, if any."""
    return Origin.random(None if config.normalisation == "image" else config.normalisation)
