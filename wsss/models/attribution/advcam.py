"""AdvCAM: anti-adversarial climbing (Lee, Kim and Yoon, CVPR 2021, arXiv 2103.08896).

An image is changed along the gradient of a class's score, so that more and more of the object takes part in the
decision; the maps of all these images are added up. What of this is the paper's and what of its authors' program:

- Sum over iterates ``Σ_{t=0}^{T} ReLU(map_c(x^t))``, the objective of `ascent` and its mask: the paper's.
- T = 27, λ = 7, τ = 0.5, a step of 0.08 with the gradient divided by its largest value, scores of maps cut at zero: the
  program's defaults.
- Ours: an image and its mirror image climb each by itself; λ weighs the mean over positions, not the sum, so that it
  means the same at every scale; values stay within those of pixels; all scales take the same number of steps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from wsss.models.attribution.config import AdvCamConfig
from wsss.models.attribution.gradients import class_slots
from wsss.models.classifier import CAMClassifier


def adv_cam(classifier: CAMClassifier, batch: Tensor, wanted: Tensor, config: AdvCamConfig) -> list[Tensor]:
    """Return per image and wanted class the sum of the maps of all iterates.

    Args:
        classifier: in evaluation mode, its parameters frozen.
        batch: ``(N, 3, H, W)`` uint8.
        wanted: ``(N, K)`` booleans, not all false; maps of other classes are zero.
        config: number and size of steps, regularisation.

    Returns:
        ``[(N, K, h, w)]`` ≥ 0.
    """
    maps: Tensor | None = None
    for rows, classes in class_slots(wanted):
        found = climb(classifier, batch[rows].float() / 255, classes, config)[0]
        if maps is None:
            maps = found.new_zeros(*wanted.shape, *found.shape[1:])
        maps[rows, classes] = found
    assert maps is not None, "some class is wanted"
    return [maps]


def climb(classifier: CAMClassifier, images: Tensor, classes: Tensor, config: AdvCamConfig) -> tuple[Tensor, Tensor]:
    """Climb with n images, each for one class: ``x ← clip(x + ξ·g / max|g|)``, g the gradient of `ascent`.

    Steps are taken in the units of normalised images: ξ is the largest change, in standard deviations of the pixels.

    Args:
        classifier: in evaluation mode, its parameters frozen.
        images: ``(n, 3, H, W)`` floats in [0, 1].
        classes: ``(n,)``.
        config: see there.

    Returns:
        The sum of the maps of all ``steps + 1`` iterates ``(n, h, w)``, and the last iterate ``(n, 3, H, W)``.
    """
    std = classifier.normalise.scale(images).detach()
    which = torch.arange(len(images), device=images.device)
    images = images.contiguous(memory_format=torch.channels_last)
    first: Tensor | None = None
    total: Tensor | None = None
    for step in range(config.steps + 1):
        climbs = step < config.steps
        images = images.detach().requires_grad_(climbs)
        with torch.set_grad_enabled(climbs):
            maps = classifier.maps(classifier.features(images)).relu()
            own = maps[which, classes]
            first = own.detach() if first is None else first
            total = own.detach() if total is None else total + own.detach()
            if not climbs:
                break
            score = ascent(classifier.pooling(maps), classes, own, first, config)
        (gradient,) = torch.autograd.grad(score.sum(), images)
        gradient = gradient * std  # with respect to the normalised image
        largest = gradient.abs().amax((1, 2, 3), keepdim=True).clamp(min=torch.finfo(gradient.dtype).tiny)
        images = (images.detach() + config.step_size * std * (gradient / largest)).clamp(0, 1)
    assert total is not None, "there is always a first iterate"
    return total, images


def ascent(scores: Tensor, classes: Tensor, own: Tensor, first: Tensor, config: AdvCamConfig) -> Tensor:
    """Return what is to grow: ``y_c − Σ_{k≠c} y_k − λ·mean(M·|map_c(x^t) − map_c(x^0)|)``.

    The mask M holds the positions at which the current map is above τ times its maximum: what is found already shall
    neither grow further nor vanish.

    Args:
        scores: ``(n, K)`` y: the pooled maps, cut at zero.
        classes: ``(n,)`` c.
        own: ``(n, h, w)`` current map of each image's class.
        first: likewise, of the unchanged image.
        config: λ and τ.

    Returns:
        ``(n,)``.
    """
    chosen = scores.gather(1, classes[:, None])[:, 0]
    current = own.detach()
    high = current > config.threshold * current.amax((1, 2), keepdim=True)
    change = ((own - first).abs() * high).mean((1, 2))
    return 2 * chosen - scores.sum(1) - config.regularisation * change
