"""Grad-CAM++ (Chattopadhyay et al., WACV 2018, arXiv 1710.11063)."""

from __future__ import annotations

from torch import Tensor

from wsss.models.attribution.gradients import LayerGradients, class_slots
from wsss.models.classifier import CAMClassifier
from wsss.models.config import Layer


def gradcam_plus_plus(classifier: CAMClassifier, batch: Tensor, selected: Tensor, layer: Layer) -> list[Tensor]:
    """Return ``ReLU(Σ_k w_k·A_k)`` for each image and selected class, with the `channel_weights` w.

    Args:
        classifier, batch, selected: see `wsss.models.attribution.map_method.MapMethod.compute`.
        layer: the layer whose channels are weighted.

    Returns:
        ``[(N, K, h, w)]`` ≥ 0.
    """
    gradients = LayerGradients(classifier, batch, [layer])
    (features,) = gradients.features
    maps = features.new_zeros(*selected.shape, *features.shape[2:])
    for rows, classes in class_slots(selected):
        (gradient,) = gradients.of(rows, classes)

        weights = channel_weights(features[rows], gradient)
        maps[rows, classes] = (weights * features[rows]).sum(1).relu()
    return [maps]


def channel_weights(features: Tensor, gradients: Tensor) -> Tensor:
    """Return the weight of each channel, ``(n, C, 1, 1)`` ≥ 0.

    With g the gradient of a class score S, the paper scores by Y = exp S and assumes S to be piecewise linear. Its
    weight of a position (eq. 19) is then ``α = g² / (2·g² + g³·Σ A)``, summed over the channel's positions, and the
    weight of a channel is ``Σ α·ReLU(∂Y/∂A)``: ``exp S · g / (2 + g·Σ A)`` where g > 0, and zero elsewhere. The factor
    exp S, constant over a map, is omitted: it would let the scale with the highest score dominate the sum over scales.
    As in the paper, A is assumed ≥ 0; negative values of features without a ReLU do not count in Σ A.

    Args:
        features, gradients: A and g, each ``(n, C, h, w)``.
    """
    rising = gradients.relu()
    sums = features.relu().sum((2, 3), keepdim=True)
    return (rising / (2 + rising * sums)).sum((2, 3), keepdim=True)
