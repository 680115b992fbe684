"""Expansion and shrinkage samplers: deformable convolutions between a classifier's features and its class maps.

Li et al., "Expansion and Shrinkage of Localization for Weakly-Supervised Semantic Segmentation" (NeurIPS 2022,
arXiv 2209.07761): the offsets of a first deformable convolution (Dai et al., ICCV 2017) *maximise* the image-level
loss, so that the classifier has to find more of the object than its most discriminative part; those of a second one
minimise it. No code was published. Bounded and centred offsets, the initial identity and the detached input of the
offset branch are ours; see docs/esol.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from wsss.errors import RunFailed, listing
from wsss.models.sampler_config import ExpansionConfig, SamplerConfig, SamplingConfig, ShrinkageConfig

RANDOM_SIZE = 2.5
"""Standard deviation of random offsets before the bound R, in multiples of R. Their mean size is then 0.8 R, similar to
learned offsets on photographs (1.25 pixels for R = 1.5), but they are white noise."""


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: float) -> Tensor:
        ctx.alpha = alpha
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.alpha * gradients[0], None


def reverse_gradient(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Return ``x``; its gradient is multiplied by −``alpha`` (Ganin & Lempitsky, ICML 2015)."""
    reversed_: Tensor = _Reversal.apply(x, alpha)
    return reversed_


def centred(offsets: Tensor) -> Tensor:
    """Subtract the mean over each image from offsets ``(B, C, h, w)``.

    This removes common shifts before the bound; a very skewed field may have one again after it (see `offset_summary`).
    """
    return offsets - offsets.mean((2, 3), keepdim=True)


def finite_or_nan(offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Replace NaN and infinity by 0 without waiting for the device, unlike a check that raises an error.

    Returns:
        The offsets, and a scalar to add to features, so that results are NaN after a replacement: 0 or NaN.
    """
    finite = offsets.isfinite()
    return offsets.where(finite, 0.0), torch.where(finite.all(), 0.0, math.nan)


def _require_finite(offsets: Tensor) -> None:
    if not offsets.isfinite().all():
        raise RunFailed(
            "offsets are no longer finite: training has diverged",
            subject="sampler",
            hint="Lower optimiser.lr or offset_lr_factor, or set sampler.max_offset.",
        )


def bounded(offsets: Tensor, limit: float) -> Tensor:
    """Return ``R·tanh(o/R)``: small offsets almost unchanged, all within ±``limit`` (R, feature pixels)."""
    return limit * torch.tanh(offsets / limit)


class DeformableSampler(nn.Module):
    """A deformable convolution, initially the identity on its `sampled_from` features.

    Its kernel is initially 1 at the central tap and 0 elsewhere, its offsets are close to 0. The offset branch is a
    convolution of detached features: features learn from sampled values, not from sampling positions.

    Args:
        config: see `SamplerConfig`.
        channels: C of the features.

    Raises:
        ValueError: ``offset_groups`` does not divide ``channels``.
    """

    def __init__(self, config: SamplerConfig, channels: int) -> None:
        super().__init__()
        if channels % config.offset_groups:
            divisors = [n for n in range(1, channels + 1) if channels % n == 0]
            raise ValueError(
                f"offset_groups: expected a divisor of the {channels} channels ({listing(divisors, limit=40)}), "
                f"got {config.offset_groups}"
            )
        self.config = config
        size = config.kernel_size
        kernel = torch.zeros(channels, 1 if config.depthwise else channels, size, size)
        middle = size // 2
        if config.depthwise:
            kernel[:, 0, middle, middle] = 1
        else:
            kernel[:, :, middle, middle] = torch.eye(channels)
        self.kernel = nn.Parameter(kernel)
        self.branch: nn.Sequential | None = None
        if config.offsets == "learned":
            width = config.reduction or channels
            reduce: list[nn.Module] = [nn.Conv2d(channels, width, 1), nn.ReLU()] if config.reduction else []
            offset_size = config.offset_kernel_size
            last = nn.Conv2d(width, self.offset_channels, offset_size, padding=offset_size // 2)
            # Not exactly 0, where the interpolation is not differentiable.
            nn.init.normal_(last.weight, std=config.offset_init)
            last.bias = nn.Parameter(torch.zeros(self.offset_channels))
            self.branch = nn.Sequential(*reduce, last)

    @property
    def offset_channels(self) -> int:
        """Two (rows, columns) per tap and offset group."""
        return 2 * self.config.offset_groups * self.config.kernel_size**2

    def raw_offsets(self, features: Tensor) -> Tensor:
        """Return the offsets before centring and bounds, ``(B, 2·G·k², h, w)``."""
        shape = (len(features), self.offset_channels, *features.shape[2:])
        if self.branch is not None:
            offsets: Tensor = self.branch(features.detach())
            return offsets
        if self.config.offsets == "random":
            return self._random_offsets(shape, features)
        return features.new_zeros(shape)

    def _random_offsets(self, shape: tuple[int, ...], features: Tensor) -> Tensor:
        """Draw new offsets at every training step; in evaluation mode they depend on the size only."""
        generator = None if self.training else torch.Generator().manual_seed(shape[2] * 65536 + shape[3])
        drawn = torch.randn((1, *shape[1:]) if generator else shape, generator=generator).expand(shape)
        assert self.config.max_offset is not None
        return (RANDOM_SIZE * self.config.max_offset * drawn).to(features)

    def offsets(self, features: Tensor) -> Tensor:
        """Return displacements from the regular taps, ``(B, 2·G·k², h, w)`` in feature pixels.

        The channels are ordered as in torchvision: group, tap, (row, column).
        """
        offsets = self.raw_offsets(features)
        if self.config.centre:
            offsets = centred(offsets)
        return offsets if self.config.max_offset is None else bounded(offsets, self.config.max_offset)

    def sampled_from(self, features: Tensor) -> Tensor:
        """Return the features to sample, ``(B, C, h, w)``; subclasses may change them."""
        return features

    def forward(self, features: Tensor) -> Tensor:
        """Return features ``(B, C, h, w)`` sampled at displaced positions (0 outside).

        Raises:
            RunFailed: an offset is NaN or infinite. On a GPU the result is NaN instead.
        """
        features = self.sampled_from(features)
        offsets = self.offsets(features)
        # torchvision's kernel would read outside its memory.
        if offsets.device.type == "cpu":
            _require_finite(offsets)
        else:
            offsets, nan = finite_or_nan(offsets)
            features = features + nan
        with torch.autocast(features.device.type, enabled=False):
            # torchvision's CPU kernel needs at least single precision, and channels first in memory.
            dtype = torch.promote_types(features.dtype, torch.float32)
            sampled: Tensor = deform_conv2d(
                features.to(dtype).contiguous(),
                offsets.to(dtype).contiguous(),
                self.kernel,
                padding=self.config.kernel_size // 2,
            )
        return sampled.to(features.dtype)


class ExpansionSampler(DeformableSampler):
    """The sampler whose offsets maximise the loss that all other parameters minimise: gradients times −α."""

    config: ExpansionConfig

    def raw_offsets(self, features: Tensor) -> Tensor:
        """See `DeformableSampler`; the gradient is reversed."""
        offsets = super().raw_offsets(features)
        return reverse_gradient(offsets, self.config.reversal) if self.config.reversal else offsets


class ShrinkageSampler(DeformableSampler):
    """The sampler after the expansion sampler: an ordinary deformable convolution on clipped features."""

    config: ShrinkageConfig

    def sampled_from(self, features: Tensor) -> Tensor:
        """Return the features ``(B, C, h, w)``, clipped at β of their maximum."""
        return features if self.config.clip is None else clipped(features, self.config.clip)


def clipped(features: Tensor, fraction: float) -> Tensor:
    """Clip features ``(B, C, h, w)`` at ``fraction`` of their channel's maximum, if that is positive."""
    peak = features.amax((2, 3), keepdim=True)
    return torch.where(peak > 0, torch.minimum(features, fraction * peak), features)


class Samplers(nn.Module):
    """The samplers between features and classifier: none, the expansion sampler, or both in sequence.

    Args:
        config: samplers and merge rule; ``None`` for no samplers.
        channels: C of the features.
    """

    def __init__(self, config: SamplingConfig | None, channels: int) -> None:
        super().__init__()
        self.config = config or SamplingConfig()
        self.expansion = ExpansionSampler(self.config.expansion, channels) if self.config.expansion else None
        self.shrinkage = ShrinkageSampler(self.config.shrinkage, channels) if self.config.shrinkage else None

    def paths(self, features: Tensor) -> tuple[Tensor, ...]:
        """Return the one or two feature maps ``(B, C, h, w)`` from which maps are computed.

        Training uses all samplers regardless of the merge rule.
        """
        expanded = self.expansion(features) if self.expansion else features
        merge = "shrinkage" if self.training else self.config.merge
        if self.shrinkage is None or merge == "expansion":
            return (expanded,)
        shrunk = self.shrinkage(expanded)
        return (shrunk,) if merge == "shrinkage" else (expanded, shrunk)

    def offsets(self, features: Tensor) -> Tensor | None:
        """Return the offsets ``(B, 2·G·k², h, w)`` of the last sampler, or ``None`` without samplers."""
        expanded = self.expansion(features) if self.expansion and self.shrinkage else features
        last = self.shrinkage or self.expansion
        return None if last is None else last.offsets(last.sampled_from(expanded))

    def merged(self, maps: Sequence[Tensor]) -> Tensor:
        """Merge the maps of all `paths`, each ``(B, K, h, w)``."""

        if len(maps) == 1:
            return maps[0]
        stacked = torch.stack(list(maps))
        return stacked.mean(0) if self.config.merge == "mean" else stacked.amax(0)
