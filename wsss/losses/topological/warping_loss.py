"""Homotopy warping loss (Hu, NeurIPS 2022): cross-entropy where the topology of prediction and label differs."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from wsss.losses.base import labelled, zero_loss
from wsss.losses.config import WarpingConfig
from wsss.losses.term import LossWithTerm
from wsss.losses.topological.thread_share import thread_count
from wsss.topology import warping_error_mask
from wsss.topology.threads import in_threads


class WarpingLoss(LossWithTerm):
    """``base_weight · base + alpha · Σ_{i critical} −log p_i(target) / n``.

    For each class except the background, the masks of the most probable class and of the label are warped towards each
    other by flipping simple points, which preserves the topology. *Critical* pixels are those that remain different in
    either direction, for any class (`wsss.topology.warping_error_mask`). n is the number of labelled pixels
    (``mean_over="all"``) or of critical pixels (``"critical"``): the paper writes the loss as pixel-wise cross-entropy
    times the mask without defining n; TopoMortar's weight of 0.1 is for all pixels. Ignored pixels are background
    in both masks and never critical.

    The authors' code (HuXiaoling/Warping, copied by TopoMortar) differs: it compares the foreground of the prediction
    with the *background* channel of the label, so that correct pixels are warped and wrong ones are not; it counts
    8-connected components where 4-connected ones are intended, since an argument is passed in the wrong position; it
    treats isolated pixels and holes of one pixel as simple, and so never penalises them; it visits each pixel once, and
    never those at the image border; and it adds the cross-entropy of zeros at all other pixels, a constant.

    Masks are warped on the CPU. The choice of critical pixels has no gradient.

    ``active_from`` requires a call of `begin_step` before each training step; otherwise the term is active from the
    first call of the loss.

    Example:
        >>> import torch
        >>> from wsss.losses import WarpingLoss
        >>> loss = WarpingLoss(mean_over="critical", active_from=0.7)
        >>> loss.begin_step(0, 1000)  # the term is active from step 700 on
        >>> loss.active
        False
    """

    traceable = False
    config_type = WarpingConfig
    config: WarpingConfig

    def term(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the cross-entropy at critical pixels; see `LossWithTerm.term`."""
        mask = labelled(target)
        predicted = most_probable(logits.detach()).masked_fill(~mask, 0)
        classes = target.masked_fill(~mask, 0)
        pixels = self._critical(predicted.cpu().numpy(), classes.cpu().numpy())
        if not pixels.any():
            return zero_loss(logits)
        critical = torch.from_numpy(pixels).to(target.device)
        count = critical.sum() if self.config.mean_over == "critical" else mask.sum()
        return F.cross_entropy(logits.movedim(1, -1)[critical], target[critical], reduction="sum") / count

    def _critical(self, predicted: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return the critical pixels ``(B, H, W)`` of class indices ``(B, H, W)``."""
        pairs = []
        for image, (first, second) in enumerate(zip(predicted, target, strict=True)):
            differing = first != second
            for value in np.union1d(first[differing], second[differing]):
                if value:
                    pairs.append((image, first == value, second == value))
        critical = np.zeros(target.shape, bool)
        connectivity = self.config.connectivity
        masks = in_threads(
            lambda pair: warping_error_mask(pair[1], pair[2], connectivity=connectivity),
            pairs,
            thread_count(self.config.threads),
        )
        for (image, _, _), mask in zip(pairs, masks, strict=True):
            critical[image] |= mask
        return critical


def most_probable(logits: Tensor) -> Tensor:
    """Return the most probable class of each pixel, ``(B, H, W)`` int64; the first of equal ones."""
    return (logits[:, 1] > logits[:, 0]).long() if logits.shape[1] == 2 else logits.argmax(1)  # faster than argmax
