"""A small fully-convolutional trunk that sees little around each pixel, at the image's own resolution.

Thin structures vanish in the features of large networks: at output stride 16 a joint of mortar is a fraction of one
feature. Here a few convolutions, most of them 1×1, tell mortar from brick by colour and the texture of a few pixels.
"""

from __future__ import annotations

from torch import Tensor, nn

from wsss.models.backbones import Features
from wsss.models.config import ConvNetConfig
from wsss.models.initial import Origin


class ConvNet(nn.Module):
    """3×3 convolutions, then 1×1 convolutions, each followed by ReLU.

    It has the parts of `wsss.models.backbones.Backbone`: ``low`` are the 3×3 convolutions, ``high`` the others, and
    ``last`` is nothing. The borders of an image are continued by their own pixels, so that they don't stand out.

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
            layers.append(
                nn.Sequential(
                    nn.Conv2d(channels, width, side, stride, padding=side // 2, padding_mode="replicate"), nn.ReLU()
                )
            )
            channels = width
        split = max(1, config.wide)
        self.low, self.high, self.last = nn.Sequential(*layers[:split]), nn.Sequential(*layers[split:]), nn.Identity()
        self.low_channels = config.widths[split - 1]
        self.body_channels = self.channels = channels
        self.output_stride = self.low_stride = config.stride

    def forward(self, images: Tensor) -> Features:
        """Return the features of normalised images ``(B, 3, H, W)``: both at the output stride."""
        low = self.low(images)
        return Features(low, self.high(low))

    def body(self, images: Tensor) -> Tensor:
        """Return the features ``(B, channels, H/s, W/s)``."""
        features: Tensor = self.high(self.low(images))
        return features


def convnet_origin(config: ConvNetConfig) -> Origin:
    """Return where its weights come from: nowhere; and the fixed normalisation, where there is one."""
    fixed = None if config.normalisation == "image" else config.normalisation
    mean, std = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)) if fixed is None else (fixed.mean, fixed.std)
    return Origin({"name": "none"}, mean, std)
