"""Frozen BatchNorm at no cost: the convolution before it applies it.

In evaluation mode BatchNorm is an affine map per channel, ``y = s·x + t`` with ``s = weight / √(var + eps)`` and
``t = bias − s·mean``. A convolution with weights ``s·w`` and bias ``t`` gives the same, and spares a pass over the
feature maps; on a CPU this, with channels-last memory, makes MobileNetV2's training step about twice as fast.
The names in the state dict stay those of torchvision.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FrozenNorm(nn.Module):
    """A BatchNorm that is no longer trained, applied by the convolution before it; itself it passes its input on."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.eps = norm.eps
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(norm, name).detach().clone())

    def affine(self) -> tuple[Tensor, Tensor]:
        """Return scale and shift, each ``(C,)``."""
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        return scale, self.bias - scale * self.running_mean

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``."""
        return x


class FoldedConv2d(nn.Module):
    """A convolution that also applies the `FrozenNorm` after it. Its own weights train as before."""

    def __init__(self, conv: nn.Conv2d, norm: FrozenNorm) -> None:
        super().__init__()
        if conv.bias is not None or conv.padding_mode != "zeros":
            raise ValueError("only bias-free, zero-padded convolutions stand before a BatchNorm here")
        self.weight = conv.weight
        self.stride, self.padding, self.dilation, self.groups = conv.stride, conv.padding, conv.dilation, conv.groups
        self._norm = (norm,)  # in a tuple: the norm keeps its own place (and names) in the state dict

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, C', h, w)``: convolution, then norm."""
        scale, shift = self._norm[0].affine()
        weight = self.weight * scale.reshape(-1, 1, 1, 1)
        return F.conv2d(
            x, weight, shift, self.stride, cast("tuple[int, int]", self.padding), self.dilation, self.groups
        )


def freeze_batchnorm(module: nn.Module) -> None:
    """Freeze every BatchNorm below ``module``, in place. Each must follow its convolution (as in torchvision)."""
    children = list(module.named_children())
    for (conv_name, conv), (norm_name, norm) in pairwise(children):
        if isinstance(norm, nn.BatchNorm2d):
            if not isinstance(conv, nn.Conv2d):
                raise ValueError(f"no convolution before {norm_name}")
            frozen = FrozenNorm(norm)
            setattr(module, norm_name, frozen)
            setattr(module, conv_name, FoldedConv2d(conv, frozen))
    for _, child in children:
        freeze_batchnorm(child)
