"""Soft clDice: Dice of centrelines (Shit et al., "clDice", CVPR 2021), on soft skeletons."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from wsss.losses.base import known
from wsss.losses.cache import LabelCache
from wsss.losses.config import ClDiceConfig
from wsss.losses.term import LossWithTerm, foreground, one_hot


class ClDiceLoss(LossWithTerm):
    """``base_weight · base + alpha · (1 − 2 P S / (P + S))`` with topology precision P and sensitivity S.

    ``P = (Σ skel(p) g + s) / (Σ skel(p) + s)`` and ``S = (Σ skel(g) p + s) / (Σ skel(g) + s)``, p probabilities, g
    labels, s ``smooth``, sums over all pixels of the batch and all classes but the background, as in the authors'
    code. Pixels of unknown class are background in both. Without foreground in the label and the prediction the term
    is 0; it is never NaN.

    The label's skeleton has no gradient; on a CPU it is kept per sample (`LabelCache`). On a GPU it is cheaper to
    compute than to look up.
    """

    def __init__(self, config: ClDiceConfig | None = None) -> None:
        config = config or ClDiceConfig()
        super().__init__(config)
        self.iterations, self.smooth = config.iterations, config.smooth
        self.cache = LabelCache(self._label_skeleton, config.cache_mb)

    def term(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return ``1 − clDice``; see `LossWithTerm.term`."""
        smooth = self.smooth
        probabilities = foreground(logits) * known(target).unsqueeze(1)
        labels = one_hot(target, logits.shape[1])
        skeletons = (self._label_skeleton if labels.is_cuda else self.cache)(labels).to(probabilities.dtype)
        classes = labels.to(probabilities.dtype)
        predicted = soft_skeleton(probabilities, self.iterations)
        precision = ((predicted * classes).sum() + smooth) / (predicted.sum() + smooth)
        sensitivity = ((skeletons * probabilities).sum() + smooth) / (skeletons.sum() + smooth)
        return 1 - 2 * precision * sensitivity / (precision + sensitivity)

    def _label_skeleton(self, labels: Tensor) -> Tensor:
        with torch.no_grad():
            return soft_skeleton(labels.float(), self.iterations) > 0.5


def soft_skeleton(image: Tensor, iterations: int) -> Tensor:
    """Return the soft skeleton: what openings remove, of the image and of its erosions.

    Algorithm 1 of Shit et al., CVPR 2021, with the refinement of their code that nothing counts twice. Each erosion is
    computed once: the erosion inside an opening is the next round's image. Of a mask it is a mask.

    Args:
        image: ``(…, H, W)`` in [0, 1], three- or four-dimensional.
        iterations: number of erosions; structures up to about twice as wide are thinned to their centre.

    Returns:
        The same shape, in [0, 1] but for rounding.
    """
    eroded = _erode(image)
    skeleton = (image - _dilate(eroded)).relu()
    for _ in range(iterations):
        image, eroded = eroded, _erode(eroded)
        removed = (image - _dilate(eroded)).relu()
        skeleton = skeleton + removed * (1 - skeleton)
    return skeleton


def _erode(image: Tensor) -> Tensor:
    """Minimum over a cross of 3 × 3 pixels; what is outside the image doesn't count."""
    negative = -image
    down = F.max_pool2d(negative, (3, 1), 1, (1, 0))
    across = F.max_pool2d(negative, (1, 3), 1, (0, 1))
    return -torch.maximum(down, across)


def _dilate(image: Tensor) -> Tensor:
    """Maximum over a square of 3 × 3 pixels, first down, then across: faster than both at once."""
    return F.max_pool2d(F.max_pool2d(image, (3, 1), 1, (1, 0)), (1, 3), 1, (0, 1))
