"""Batch normalisation at test time with statistics of the image (α-BN; You, Li & Zhao, 2021, arXiv 2110.04065).

A BatchNorm normalises with the mean and variance of the training images, which do not fit images with different colours
or contrast. α-BN mixes them with those of the image itself::

    mean = α · training mean + (1 − α) · mean of the image,    variance likewise.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wsss.errors import InvalidInput
from wsss.models.weights.folding import FoldedConv2d, FrozenNorm
from wsss.models.weights.initial import is_folded

SUBJECT = "predict.adapt_batchnorm"


class CalibratedNorm(nn.Module):
    """A BatchNorm whose statistics are mixed with those of each image.

    Args:
        norm: a BatchNorm of torch or timm, frozen or not; its activation is applied too.
        alpha: weight α of the training statistics, in [0, 1].
    """

    def __init__(self, norm: nn.BatchNorm2d | FrozenNorm, alpha: float) -> None:
        super().__init__()
        self.norm, self.alpha = norm, alpha
        self.activation = getattr(norm, "act", nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        """Return features ``(B, C, h, w)``, normalised image by image.

        A feature map of one pixel, such as the pooled one of DeepLabV3, has no variance of its own: it is normalised
        with the training statistics.
        """
        norm = self.norm
        assert norm.running_mean is not None and norm.running_var is not None, "checked by `calibrate_batchnorm`"
        mean, variance = (each[None, :, None, None] for each in (norm.running_mean, norm.running_var))
        if x.shape[2] * x.shape[3] > 1:
            own_variance, own_mean = torch.var_mean(x.float(), (2, 3), correction=0, keepdim=True)
            mean = torch.lerp(own_mean, mean, self.alpha)
            variance = torch.lerp(own_variance, variance, self.alpha)
        normalised = (x - mean) * torch.rsqrt(variance + norm.eps)
        if norm.weight is not None:
            normalised = normalised * norm.weight[:, None, None] + norm.bias[:, None, None]
        activated: Tensor = self.activation(normalised)
        return activated


def calibrate_batchnorm(network: nn.Module, alpha: float) -> None:
    """Replace every BatchNorm of a segmentation network by a `CalibratedNorm`, in place.

    Args:
        network: in evaluation mode.
        alpha: weight α of the training statistics, in [0, 1]; 1: unchanged.

    Raises:
        InvalidInput: the network has no BatchNorm, or the statistics of its initial weights are not known because they
            were folded into the convolutions.
    """
    trunk = getattr(network, "backbone", None)
    if trunk is not None and is_folded(trunk.state_dict()):
        raise InvalidInput(
            "the initial weights of this network had their BatchNorm statistics folded into the convolutions, so they "
            "cannot be adapted",
            subject=SUBJECT,
            hint="Train from weights with BatchNorm statistics, or omit adapt_batchnorm.",
        )
    if not _replace(network, alpha):
        raise InvalidInput(
            "this network has no BatchNorm whose statistics could be adapted",
            subject=SUBJECT,
            hint="Omit adapt_batchnorm: instance and layer normalisation already use statistics of the image.",
        )


def _replace(module: nn.Module, alpha: float) -> int:
    """Replace the BatchNorms below a module; return their number."""
    count = 0
    for name, child in list(module.named_children()):
        if isinstance(child, FrozenNorm) or (isinstance(child, nn.BatchNorm2d) and child.running_mean is not None):
            setattr(module, name, CalibratedNorm(child, alpha))
            count += 1
            continue
        if isinstance(child, FoldedConv2d):
            child.folded = False
        count += _replace(child, alpha)
    return count
