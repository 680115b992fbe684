"""LayerCAM (Jiang et al., IEEE Transactions on Image Processing 30, 2021)."""

from __future__ import annotations

from torch import Tensor

from wsss.models.attribution.config import LayerCamConfig
from wsss.models.attribution.gradients import LayerGradients, class_slots
from wsss.models.classifier import CAMClassifier


def layer_cam(classifier: CAMClassifier, batch: Tensor, selected: Tensor, config: LayerCamConfig) -> list[Tensor]:
    """Return ``ReLU(Σ_k ReLU(g_k)·A_k)``, g = ∂score/∂A, for each image and selected class, per layer.

    Each position has its own weights, which makes maps of low layers useful. Maps are multiplied by their number of
    positions n: gradients of a mean are proportional to 1/n, so that large scales would otherwise count less in the sum
    over scales.

    Args:
        classifier, batch, selected: see `wsss.models.attribution.config.MapMethod.compute`.
        config: the layers.

    Returns:
        Per layer, ``(N, K, h, w)`` ≥ 0.
    """
    layers = LayerGradients(classifier, batch, config.layers)
    maps = [features.new_zeros(*selected.shape, *features.shape[2:]) for features in layers.features]
    for rows, classes in class_slots(selected):
        gradients = layers.of(rows, classes)
        for layer_maps, features, gradient in zip(maps, layers.features, gradients, strict=True):
            weighted = (gradient.relu() * features[rows]).sum(1).relu()
            layer_maps[rows, classes] = weighted * weighted[0].numel()
    return maps
