"""A background weight, chosen so that a network's masks contain a given fraction of foreground.

A network trained on noisy pseudo masks is less certain of objects in images it has not seen, and leaves parts of
them to the background. Multiplying the background's probability by a weight b < 1 corrects this prior::

    p'_0 = b p_0 / s,    p'_k = p_k / s,    s = 1 + (b − 1) p_0,

which is the softmax after log b was added to the logit of the background (logit adjustment: Menon et al., ICLR 2021).
The foreground fraction of the training masks serves as the prior of other images, so b needs none of their labels
(compare the correction of priors by Saerens, Latinne & Decaestecker, Neural Computation 2002).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from wsss.models.segmentation_networks.segmenters import SegmentationNetwork

GRID = 32
"""Rows and columns of the points of an image at which probabilities are compared."""

LIMIT = 1000.0
"""Weights are searched between 1/`LIMIT` and `LIMIT`."""

BISECTIONS = 40
"""Halvings of the interval of log b: to within 2·log(1000) / 2⁴⁰, far below the resolution of the points."""


def sampled_probabilities(
    network: SegmentationNetwork, image: NDArray[np.uint8], *, scales: Sequence[float], flip: bool, max_side: int | None
) -> NDArray[np.float32]:
    """Return the probabilities of each view of an image at `GRID` × `GRID` points.

    Args:
        network: in evaluation mode.
        image: ``(H, W, 3)`` uint8 RGB.
        scales, flip, max_side: see `wsss.models.segmentation_networks.inference.class_probabilities`.

    Returns:
        ``(V, C, GRID²)``, in [0, 1]; a view is one scale, or its mirror image.
    """
    import torch
    import torch.nn.functional as F

    from wsss.models.segmentation_networks.inference import view_probabilities

    views = view_probabilities(network, image[None], scales=scales, flip=flip, max_side=max_side)
    points = [F.interpolate(view, (GRID, GRID), mode="bilinear", align_corners=False)[0] for view in views]
    sampled: NDArray[np.float32] = torch.stack(points).flatten(2).cpu().numpy()
    return sampled


def foreground_fraction(views: NDArray[np.float32], weight: float) -> float:
    """Return the fraction of points that are foreground with a background weight.

    Args:
        views: `sampled_probabilities` of an image.
        weight: factor b of the background's probability, > 0.
    """
    scale = 1 / (1 + (weight - 1) * views[:, :1])
    background = weight * (views[:, 0] * scale[:, 0]).sum(0)
    foreground = (views[:, 1:] * scale).sum(0).max(0)
    return float((foreground > background).mean())


def matching_weight(images: Sequence[NDArray[np.float32]], fraction: float) -> float | None:
    """Return the largest background weight with which the images reach a foreground fraction.

    Args:
        images: `sampled_probabilities` of each image; all count equally.
        fraction: mean foreground fraction, in (0, 1).

    Returns:
        The weight; ``None`` if none between 1/`LIMIT` and `LIMIT` reaches the fraction, or all exceed it.
    """

    def reached(logarithm: float) -> bool:
        weight = math.exp(logarithm)
        return float(np.mean([foreground_fraction(views, weight) for views in images])) >= fraction

    low, high = -math.log(LIMIT), math.log(LIMIT)  # the fraction falls as the weight grows
    if not reached(low) or reached(high):
        return None
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if reached(middle) else (low, middle)
    return math.exp(low)


def weight_background(network: SegmentationNetwork, weight: float) -> None:
    """Add log(weight) to the background's logit of a network, in place.

    Args:
        network: its logits are interpolated from those of its last convolution, with weights of sum 1.
        weight: factor b of the background's probability, > 0.
    """
    import torch
    from torch import nn

    from wsss.models.segmentation_networks.unet import UNet

    last = network.net.output_block if isinstance(network, UNet) else network.head
    assert isinstance(last, nn.Module)
    convolution = [module for module in last.modules() if isinstance(module, nn.Conv2d)][-1]
    assert convolution.bias is not None, "the last convolution of every head has a bias"
    with torch.no_grad():
        convolution.bias[0] += math.log(weight)
