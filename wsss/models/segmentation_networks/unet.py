"""The U-Net of nnU-Net (Isensee et al., Nature Methods 2021), as MONAI's DynUNet: trained from random weights."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from wsss.models.backbones import Normalise, OwnStatistics
from wsss.models.config import SegmenterConfig, UNetConfig
from wsss.models.padding import padded
from wsss.models.weights.initial import Origin


class UNet(nn.Module):
    """Images → logits per pixel; in training mode also those of coarser levels.

    The layers and their names are MONAI's. `forward` calls them in order itself, because MONAI's ``forward`` needs
    every layer to be registered twice (which safetensors cannot store) and stacks copies of all outputs.

    Args:
        config: with a ``unet`` block.
        classes: number C of classes, with the background.
    """

    def __init__(self, config: SegmenterConfig, classes: int) -> None:
        super().__init__()
        from monai.networks.nets.dynunet import DynUNet

        unet = config.unet or UNetConfig()
        fixed = None if unet.normalisation == "image" else unet.normalisation
        self.origin = Origin.random(fixed)
        self.normalise: nn.Module = OwnStatistics() if fixed is None else Normalise(fixed.mean, fixed.std)
        strides = [1] + [2] * (unet.levels - 1)
        self.net = DynUNet(
            spatial_dims=2,
            in_channels=3,
            out_channels=classes,
            kernel_size=[3] * unet.levels,
            strides=strides,
            upsample_kernel_size=strides[1:],
            filters=unet.channels,
            deep_supervision=unet.coarse_outputs > 0,
            deep_supr_num=max(1, unet.coarse_outputs),
        )
        del self.net.skip_layers
        self.stride = 2 ** (unet.levels - 1)
        self.config = config

    def forward(self, images: Tensor) -> Tensor | list[Tensor]:
        """Return logits ``(B, C, H, W)`` of images ``(B, 3, H, W)``, uint8 or floats in [0, 1].

        In training mode with deep supervision, return a list of such logits, the finest first; those of coarser levels
        are upsampled to ``H × W`` (nearest neighbour, as in MONAI).
        """
        height, width = images.shape[2:]
        # Instance normalisation needs more than one position at the coarsest level.
        outputs = self._levels(padded(self.normalise(images), self.stride, least=2))
        size = outputs[0].shape[2:]
        full = [output if output.shape[2:] == size else F.interpolate(output, size) for output in outputs]
        cropped = [output[:, :, :height, :width] for output in full]
        return cropped if len(cropped) > 1 else cropped[0]

    def _levels(self, images: Tensor) -> list[Tensor]:
        """Return the logits of every level with an output at its own resolution, the finest first."""
        net = self.net
        skips = [net.input_block(images)]
        for down in net.downsamples:
            skips.append(down(skips[-1]))
        features = net.bottleneck(skips[-1])
        heads = [net.output_block, *(net.deep_supervision_heads if self.training and net.deep_supervision else ())]
        outputs: list[Tensor] = []
        for up in net.upsamples:  # the coarsest first
            features = up(features, skips.pop())
            level = len(skips)
            if level < len(heads):
                outputs.insert(0, heads[level](features))
        return outputs
