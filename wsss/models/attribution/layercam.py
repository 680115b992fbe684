"""LayerCAM (Jiang et al., IEEE Transactions on Image Processing 30, 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from wsss.models.attribution.gradients import LayerGradients, class_slots
from wsss.models.attribution.multiscale_cam import normalise
from wsss.models.classifier import CAMClassifier
from wsss.models.config import Layer


def layer_cam(classifier: CAMClassifier, batch: Tensor, selected: Tensor, layers: Sequence[Layer]) -> list[Tensor]:
    """Return ``ReLU(Σ_k ReLU(g_k)·A_k)``, g = ∂score/∂A, for each image and selected class, per layer.

    Each position has its own weights, which makes maps of low layers useful. Maps are multiplied by their number of
    positions n: gradients of a mean are proportional to 1/n, so that large scales would otherwise count less in the sum
    over scales.

    Args:
        classifier, batch, selected: see `wsss.models.attribution.map_method.MapMethod.compute`.

    Returns:
        Per layer, ``(N, K, h, w)`` ≥ 0.
    """
    gradients = LayerGradients(classifier, batch, layers)
    maps = [features.new_zeros(*selected.shape, *features.shape[2:]) for features in gradients.features]
    for rows, classes in class_slots(selected):
        by_layer = zip(maps, gradients.features, gradients.of(rows, classes), strict=True)
        for layer_maps, features, gradient in by_layer:
            weighted = (gradient.relu() * features[rows]).sum(1).relu()
            layer_maps[rows, classes] = weighted * weighted[0].numel()
    return maps


def fuse(maps: Sequence[Tensor], layers: Sequence[Layer], gamma: float) -> Tensor:
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
