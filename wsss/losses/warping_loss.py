"""Homotopy warping loss (Hu, NeurIPS 2022): cross-entropy where the topology of prediction and label differs."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from wsss.losses.base import known, nothing
from wsss.losses.config import WarpingConfig
from wsss.losses.term import LossWithTerm
from wsss.topology import warping_error_mask
from wsss.topology.threads import in_threads


class WarpingLoss(LossWithTerm):
    """``base_weight · base + alpha · Σ_{i critical} −log p_i(target) / n``.

    Prediction and label are masks here: the most probable class, and where it is each class but the background. Each
    is warped towards the other by flipping simple points, which changes no topology; *critical* are the pixels that
    are left in either direction, for any class (`wsss.topology.warping_error_mask`, which says in which order pixels
    are flipped). n is the number of pixels with a known class (``mean_over: all``), or of critical ones
    (``mean_over: critical``): the paper writes the loss as pixel-wise cross-entropy times the mask and leaves n open;
    TopoMortar's weight of 0.1 goes with all pixels. Pixels of unknown class are background in both masks, and never
    critical.

    The authors' code (HuXiaoling/Warping, and TopoMortar's after it) differs, and isn't followed, in this: it compares
    the foreground of the prediction with the *background* channel of the label, so that right pixels are warped and
    wrong ones aren't; it means to count 4-connected components, but passes the number in the place of another argument,
    and OpenCV counts 8-connected ones; it takes a pixel alone, and a hole of one pixel, for simple, and so never
    penalises either; it looks at each pixel once, and never at those on the image's border; it adds the cross-entropy
    of zeros at all other pixels, a constant.

    Masks are warped on the CPU, wherever the logits are. Which pixels are critical has no gradient.
    """

    def __init__(self, config: WarpingConfig | None = None) -> None:
        config = config or WarpingConfig()
        super().__init__(config)
        self.connectivity, self.threads = config.connectivity, config.threads
        self.over_critical = config.mean_over == "critical"

    def term(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the cross-entropy at critical pixels; see `LossWithTerm.term`."""
        mask = known(target)
        predicted = most_probable(logits.detach()).masked_fill(~mask, 0)
        classes = target.masked_fill(~mask, 0)
        found = self._critical(predicted.cpu().numpy(), classes.cpu().numpy())
        if not found.any():
            return nothing(logits)
        critical = torch.from_numpy(found).to(target.device)
        count = critical.sum() if self.over_critical else mask.sum()
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
        left = in_threads(
            lambda pair: warping_error_mask(pair[1], pair[2], connectivity=self.connectivity), pairs, self.threads
        )
        for (image, _, _), mask in zip(pairs, left, strict=True):
            critical[image] |= mask
        return critical


def most_probable(logits: Tensor) -> Tensor:
    """Return the most probable class of each pixel, ``(B, H, W)`` int64; the first of equal ones."""
    return (logits[:, 1] > logits[:, 0]).long() if logits.shape[1] == 2 else logits.argmax(1)  # much faster than argmax
