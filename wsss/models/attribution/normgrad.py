"""NormGrad (Rebuffi, Fong, Ji and Vedaldi, CVPR 2020, arXiv 2004.02866)."""

from __future__ import annotations

from torch import Tensor

from wsss.models.attribution.gradients import LayerGradients, class_slots
from wsss.models.classifier import CAMClassifier
from wsss.models.config import Layer


def norm_grad(classifier: CAMClassifier, batch: Tensor, selected: Tensor, layer: Layer) -> list[Tensor]:
    """Return ``‖g‖·‖A‖``, g = ∂score/∂A, at each position, for each image and selected class.

    A 1×1 convolution with identity weights, inserted after the layer, would get the gradient ``g·Aᵀ`` from each
    position; the map is the Frobenius norm of this matrix. Unlike `wsss.models.attribution.layercam.layer_cam`, it is
    also high where the layer lowers the score. Like LayerCAM's, maps are multiplied by their number of
    positions.

    Without samplers and with mean pooling, g is the same at all positions of the layer ``features``, so that maps of
    different classes differ only by a factor. The paper's remedy, a step of gradient descent before the gradients are
    computed (meta-saliency), is not implemented.

    Args:
        classifier, batch, selected: see `wsss.models.attribution.map_method.MapMethod.compute`.

    Returns:
        ``[(N, K, h, w)]`` ≥ 0.
    """
    gradients = LayerGradients(classifier, batch, [layer])
    (features,) = gradients.features
    norms = features.norm(dim=1)
    maps = features.new_zeros(*selected.shape, *features.shape[2:])
    for rows, classes in class_slots(selected):
        (gradient,) = gradients.of(rows, classes)
        maps[rows, classes] = gradient.norm(dim=1) * norms[rows] * norms[0].numel()
    return [maps]
