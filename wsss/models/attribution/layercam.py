"""LayerCAM (Jiang et al., IEEE Transactions on Image Processing 30, 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from wsss.models.attribution.config import Layer, LayerCamConfig
from wsss.models.attribution.gradients import LayerGradients, class_slots
from wsss.models.classifier import CAMClassifier
from wsss.models.multiscale_cam import normalise


def layer_cam(classifier: CAMClassifier, batch: Tensor, wanted: Tensor, config: LayerCamConfig) -> list[Tensor]:
    """Return one map per image and wanted class for each layer: ``ReLU(Σ_k ReLU(g_k)·A_k)``, g = ∂score/∂A.

    Every position has weights of its own, which is what makes maps of low layers useful. Maps are multiplied by the
    number of their positions: the gradient of a mean over n positions is an n-th, and without the factor large scales
    would count less than small ones in the sum over scales.

    Args:
        classifier: in evaluation mode, its parameters frozen.
        batch: ``(N, 3, H, W)`` uint8.
        wanted: ``(N, K)`` booleans; maps of other classes are zero.
        config: which layers.

    Returns:
        Per layer ``(N, K, h, w)`` ≥ 0.
    """
    found = LayerGradients(classifier, batch, config.layers)
    maps = [one.new_zeros(*wanted.shape, *one.shape[2:]) for one in found.features]
    for rows, classes in class_slots(wanted):
        for one, features, gradients in zip(maps, found.features, found.of(rows, classes), strict=True):
            weighted = (gradients.relu() * features[rows]).sum(1).relu()
            one[rows, classes] = weighted * weighted[0].numel()
    return maps


def fuse(maps: Sequence[Tensor], layers: Sequence[Layer], gamma: float) -> Tensor:
    """Fuse the maps of several layers: the largest at each element, after maps of ``low`` became ``tanh(γ·M/max M)``.

    Maps of low layers are weaker and sparser; the paper lifts them so before it fuses them. A single layer's maps are
    returned as they are.

    Args:
        maps: per layer ``(…, h, w)`` ≥ 0, all of one size.
        layers: their names.
        gamma: γ.

    Returns:
        ``(…, h, w)`` ≥ 0; at most 1 where several layers were fused.
    """
    if len(maps) == 1:
        return maps[0]
    scaled = [normalise(one, "max") for one in maps]
    lifted = [(gamma * one).tanh() if layer == "low" else one for one, layer in zip(scaled, layers, strict=True)]
    return torch.stack(lifted).amax(0)
