"""Networks of timm: names, construction, and the layers between the last feature map and the classifier.

timm is imported by the functions only, so that runs without its networks do not load it.
"""

from __future__ import annotations

import difflib
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from wsss.errors import InvalidInput
from wsss.models.architectures import TIMM, require_timm


def timm_name(name: str) -> str:
    """Return a network's name in timm, without the prefix.

    Raises:
        InvalidInput: timm is not installed, or has no such network, or no such tag of weights for it.
    """
    require_timm(name)
    import timm

    own = name.removeprefix(TIMM)
    base, _, tag = own.partition(".")
    known = timm.list_models()
    if base not in known:
        raise _unknown(name, difflib.get_close_matches(base, known, n=5, cutoff=0.6))
    tagged = timm.list_models(f"{base}.*", pretrained=True)
    if tag and own not in tagged:
        raise _unknown(name, tagged)
    return own


def _unknown(name: str, similar: list[str]) -> InvalidInput:
    allowed = [f"{TIMM}{each}" for each in similar] or f"{TIMM}NAME for a name in timm.list_models()"
    return InvalidInput(subject="backbone.name", found=name, allowed=allowed)


def create_network(name: str, *, output_stride: int | None, pretrained: bool = False) -> nn.Module:
    """Build a network with its classifier, for images of any size where it allows.

    Networks that cannot be dilated ignore ``output_stride``.

    Args:
        output_stride: pixels per feature; ``None``: that of the network.
        pretrained: download timm's weights.

    Raises:
        InvalidInput: the constructor rejects its own default settings, such as those of a missing package.
    """
    import timm

    wanted: dict[str, Any] = {"dynamic_img_size": True, "strict_img_size": False}
    if output_stride is not None:
        wanted["output_stride"] = output_stride
    while True:
        try:
            return timm.create_model(name, pretrained=pretrained, **wanted)
        except (TypeError, ValueError, AssertionError, NotImplementedError) as error:
            # Constructors reject unknown arguments by name, and output strides by a bare assertion.
            rejected = next((key for key in wanted if key in str(error)), "output_stride")
            if rejected not in wanted:
                problem = f"timm cannot build {TIMM}{name} ({type(error).__name__}: {error})"
                raise InvalidInput(problem, subject="backbone.name", hint="Choose another network.") from error
            del wanted[rejected]


class ChannelNorm(nn.Module):
    """A layer normalisation over the channels of a feature map, at each position."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(B, C, h, w)``."""
        norm = self.norm
        last = features.permute(0, 2, 3, 1)
        return F.layer_norm(last, norm.normalized_shape, norm.weight, norm.bias, norm.eps).permute(0, 3, 1, 2)


def last_layers(network: nn.Module, channels: int) -> nn.Module:
    """Return the layers between the last feature map and the classifier that apply at each position.

    EfficientNets widen their features by a 1×1 convolution; transformers and ConvNeXt have a layer normalisation.

    Args:
        network: from `create_network`.
        channels: number of channels of its last feature map.
    """
    parts = dict(network.named_modules())
    wide, norm = parts.get("conv_head"), parts.get("bn2")
    if isinstance(wide, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and wide.kernel_size == (1, 1):
        return nn.Sequential(wide, norm)
    for name in ("norm", "fc_norm", "head.norm"):
        part = parts.get(name)
        if isinstance(part, nn.LayerNorm) and part.normalized_shape == (channels,):
            return ChannelNorm(part)
    return nn.Identity()


def remove_layers(network: nn.Module, last: nn.Module) -> None:
    """Replace the layers that ``last`` contains by the identity in a network, so that their weights are saved once."""
    taken = set(last.modules())
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if child in taken:
                setattr(parent, name, nn.Identity())
