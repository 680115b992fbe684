"""AdvCAM: anti-adversarial climbing (Lee, Kim and Yoon, CVPR 2021, arXiv 2103.08896).

Gradient ascent on the image increases the score of a class, so that more and more of the object contributes to the
decision; the maps of all iterates are summed. Sources:

- The paper: the sum over iterates ``Σ_{t=0}^{T} ReLU(map_c(x^t))``, the objective of `ascent` and its mask.
- Defaults of the authors' code: T = 27, λ = 7, τ = 0.5, a step of 0.08 with the gradient divided by its maximum,
  scores of maps clamped at zero.
- Ours: an image and its mirror image ascend independently; λ weights the mean over positions instead of the sum, so
  that its effect does not depend on the scale; iterates stay within the range of pixels; all scales take the same
  number of steps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from wsss.models.attribution.gradients import class_slots
from wsss.models.classifier import CAMClassifier


def adv_cam(classifier: CAMClassifier, batch: Tensor, selected: Tensor, **settings: Any) -> list[Tensor]:
    """Return the sum of the maps of all iterates for each image and selected class.

    Args:
        classifier, batch, selected: see `wsss.models.attribution.map_method.MapMethod.compute`.
        settings: see `ascend_gradient`.

    Returns:
        ``[(N, K, h, w)]`` ≥ 0.
    """
    maps: Tensor | None = None
    for rows, classes in class_slots(selected):
        total = ascend_gradient(classifier, batch[rows].float() / 255, classes, **settings)[0]
        if maps is None:
            maps = total.new_zeros(*selected.shape, *total.shape[1:])
        maps[rows, classes] = total
    assert maps is not None, "at least one class is selected"
    return [maps]


def ascend_gradient(
    classifier: CAMClassifier,
    images: Tensor,
    classes: Tensor,
    *,
    steps: int,
    step_size: float,
    regularisation: float,
    threshold: float,
) -> tuple[Tensor, Tensor]:
    """Ascend the gradient of n images for one class each: ``x ← clip(x + ξ·g / max|g|)``, g the gradient of `ascent`.

    Args:
        classifier: in evaluation mode, its parameters frozen.
        images: ``(n, 3, H, W)`` floats in [0, 1].
        classes: ``(n,)`` indices.
        step_size: ξ, the largest change per step in standard deviations of the pixels.
        regularisation, threshold: see `ascent`.

    Returns:
        The sum of the maps of all ``steps + 1`` iterates ``(n, h, w)``, and the last iterate ``(n, 3, H, W)``.
    """
    std = classifier.normalise.scale(images).detach()
    indices = torch.arange(len(images), device=images.device)
    images = images.contiguous(memory_format=torch.channels_last)
    first: Tensor | None = None
    total: Tensor | None = None
    for step in range(steps + 1):
        last = step == steps
        images = images.detach().requires_grad_(not last)
        with torch.set_grad_enabled(not last):
            maps = classifier.maps(classifier.features(images)).relu()
            own = maps[indices, classes]
            first = own.detach() if first is None else first
            total = own.detach() if total is None else total + own.detach()
            if last:
                break
            scores = classifier.pooling(maps)
            objective = ascent(scores, classes, own, first, regularisation=regularisation, threshold=threshold)
        (gradient,) = torch.autograd.grad(objective.sum(), images)
        gradient = gradient * std  # with respect to the normalised image
        largest = gradient.abs().amax((1, 2, 3), keepdim=True).clamp(min=torch.finfo(gradient.dtype).tiny)
        images = (images.detach() + step_size * std * (gradient / largest)).clamp(0, 1)
    assert total is not None
    return total, images


def ascent(
    scores: Tensor, classes: Tensor, own: Tensor, first: Tensor, *, regularisation: float, threshold: float
) -> Tensor:
    """Return the objective ``y_c − Σ_{k≠c} y_k − λ·mean(M·|map_c(x^t) − map_c(x^0)|)`` of each image, ``(n,)``.

    The mask M selects positions where the current map exceeds τ times its maximum: regions that are already activated
    should neither grow further nor vanish.

    Args:
        scores: ``(n, K)`` y: the pooled maps, clamped at zero.
        classes: ``(n,)`` c.
        own: ``(n, h, w)`` current map of each image's class.
        first: the same for the unchanged image.
        regularisation: λ.
        threshold: τ.
    """
    chosen = scores.gather(1, classes[:, None])[:, 0]
    current = own.detach()
    high = current > threshold * current.amax((1, 2), keepdim=True)
    change = ((own - first).abs() * high).mean((1, 2))
    return 2 * chosen - scores.sum(1) - regularisation * change
