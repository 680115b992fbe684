"""Fusion of the maps of several layers (Jiang et al., LayerCAM, IEEE Transactions on Image Processing 30, 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from wsss.models.multiscale_cam import normalise


def fuse(maps: Sequence[Tensor], layers: Sequence[str], gamma: float) -> Tensor:
    """Fuse the maps of several layers by their maximum, after scaling those of ``low`` to ``tanh(γ·M/max M)``.

    Maps of low layers are weaker and sparser, hence the paper's scaling. Maps of a single layer are returned unchanged.

    Args:
        maps: per layer, ``(…, h, w)`` ≥ 0, all of one size.
        layers: their names.
        gamma: γ.

    Returns:
        ``(…, h, w)`` ≥ 0; at most 1 if several layers are fused.
    """
    if len(maps) == 1:
        return maps[0]
    scaled = [normalise(layer_maps, "max") for layer_maps in maps]
    lifted = [
        (gamma * values).tanh() if layer == "low" else values for values, layer in zip(scaled, layers, strict=True)
    ]
    return torch.stack(lifted).amax(0)
