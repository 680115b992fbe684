"""Grad-CAM++ (Chattopadhyay et al., WACV 2018, arXiv 1710.11063)."""

from __future__ import annotations

from torch import Tensor

from wsss.models.attribution.config import GradCamPlusPlusConfig
from wsss.models.attribution.gradients import LayerGradients, class_slots
from wsss.models.classifier import CAMClassifier


def gradcam_plus_plus(
    classifier: CAMClassifier, batch: Tensor, wanted: Tensor, config: GradCamPlusPlusConfig
) -> list[Tensor]:
    """Return one map per image and wanted class: ``ReLU(Σ_k w_k·A_k)`` with `channel_weights`.

    Args:
        classifier: in evaluation mode, its parameters frozen.
        batch: ``(N, 3, H, W)`` uint8.
        wanted: ``(N, K)`` booleans; maps of other classes are zero.
        config: which layer.

    Returns:
        ``[(N, K, h, w)]`` ≥ 0.
    """
    found = LayerGradients(classifier, batch, [config.layer])
    (features,) = found.features
    maps = features.new_zeros(*wanted.shape, *features.shape[2:])
    for rows, classes in class_slots(wanted):
        (gradient,) = found.of(rows, classes)
        weights = channel_weights(features[rows], gradient)
        maps[rows, classes] = (weights * features[rows]).sum(1).relu()
    return [maps]


def channel_weights(features: Tensor, gradients: Tensor) -> Tensor:
    """Return the weight of each channel, ``(n, C, 1, 1)`` ≥ 0.

    With the gradient g of a class's score S, the paper scores by Y = exp S and takes S as piecewise linear; then its
    weight of a position (eq. 19 there) is ``α = g² / (2·g² + g³·Σ A)``, the sum over the channel's positions, and a
    channel's weight is ``Σ α·ReLU(∂Y/∂A)``. Where g > 0 that is ``exp S · g / (2 + g·Σ A)``, elsewhere zero. The
    factor exp S, the same for a whole map, is left out: it would let the scale with the highest score outweigh the
    others in the sum over scales. A is taken as ≥ 0, as in the paper; what is negative in features without a ReLU
    does not count in Σ A.

    Args:
        features, gradients: A and g, each ``(n, C, h, w)``.
    """
    rising = gradients.relu()
    sums = features.relu().sum((2, 3), keepdim=True)
    return (rising / (2 + rising * sums)).sum((2, 3), keepdim=True)
