"""Centerline boundary Dice (Shi et al., MICCAI 2024): clDice weighted by the radius of the structure."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wsss.losses.base import labelled
from wsss.losses.cache import LabelCache
from wsss.losses.config import CbDiceConfig, Weighting
from wsss.losses.term import LossWithTerm, foreground, one_hot
from wsss.topology import distance_transform, skeleton


class CbDiceLoss(LossWithTerm):
    """``base_weight · base + alpha · (1 − 2 P S / (P + S))`` with weighted topology precision P and sensitivity S.

    For each sample and class, V is a mask (the label, or where the probability p exceeds ½) and K its skeleton. D is
    the distance of a pixel of V to the boundary, clipped at the largest distance on K and divided by it (by at least 1
    pixel), so that ``R = D`` on K is the relative radius. The indices L and P stand for label and prediction, W is the
    weight of a skeleton pixel. Then

    - ``P = (Σ_{K_P} W_P p D_L + s) / (Σ_{K_P ∩ K_L} W_P p R_L + Σ_{K_P \\ K_L} W_P p² R_P + s)``,
    - ``S = (Σ_{K_L} W_L p D_P + s) / (Σ_{K_L ∩ K_P} W_L p R_P + Σ_{K_L \\ K_P} W_L R_L + s)``,

    with sums over all samples and all classes except the background, and ``smooth`` s. This is the authors' code
    (PengchengShi1220/cbDice, with radii of the other skeleton where both overlap), written for 2-D.

    With ``weighting="inverse"`` ``W = 1 / R``, as in their code of September 2024 and TopoMortar's copy (which add 1e-7
    to the divisor). With ``"linear"`` ``W = 1 − R + 1 / r``, r the largest radius in pixels, as in their current code,
    for which they report better results.

    As in their code, P or S may exceed 1 where thin branches cross a wide structure, and the term may then be negative;
    it is 0 for a perfect prediction.

    Our choices: skeletons are computed from the masks (Zhang and Suen) and multiplied by p for the prediction, as in
    TopoMortar's code, which uses a different thinning; only p has a gradient. Each class is compared with the rest,
    while the authors compare all classes together with the background. Ignored pixels are background in both.

    The authors' whole loss is ``½ CE + α/(2(α + β)) Dice + β/(2(α + β)) cbDice``; the defaults are α = β = 1.

    Skeletons and distances are computed on the CPU; those of labels are cached (`LabelCache`).

    ``active_from`` requires a call of `begin_step` before each training step; otherwise the term is active from the
    first call of the loss.

    Example:
        >>> import torch
        >>> from wsss.losses import CbDiceLoss
        >>> loss = CbDiceLoss(weighting="linear")
        >>> loss(torch.randn(1, 2, 32, 32), torch.randint(0, 2, (1, 32, 32))).isfinite().item()
        True
    """

    traceable = False
    config_type = CbDiceConfig
    config: CbDiceConfig

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.centrelines = partial(centrelines, weighting=self.config.weighting)
        self.cache = LabelCache(self.centrelines, self.config.cache_mb)

    def term(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return ``1 − cbDice``; see `LossWithTerm.term`."""
        smooth = self.config.smooth
        probabilities = foreground(logits) * labelled(target).unsqueeze(1)
        true = self.cache(one_hot(target, logits.shape[1]))
        masks = (probabilities.detach() > 0.5).cpu()
        predicted = torch.stack([self.centrelines(mask) for mask in masks]).to(true.device)

        distance, other, scale, on_other, p = _on_skeleton(predicted, true, probabilities)
        numerator = (scale * p * other / distance).sum()
        denominator = (torch.where(on_other, other / distance, p) * scale * p).sum()
        precision = (numerator + smooth) / (denominator + smooth)

        distance, other, scale, on_other, p = _on_skeleton(true, predicted, probabilities)
        covered = scale * p * other / distance
        sensitivity = (covered.sum() + smooth) / (torch.where(on_other, covered, scale).sum() + smooth)
        return 1 - 2 * precision * sensitivity / (precision + sensitivity)


def _on_skeleton(own: Tensor, other: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the terms of the sums at the ``n`` skeleton pixels of a mask.

    Args:
        own: ``(B, 2, C, H, W)``, the `centrelines` of the mask.
        other: those of the other mask.
        probabilities: ``(B, C, H, W)``.

    Returns:
        ``(n,)`` each: own distances, distances of the other mask, own weights times distances, whether the pixel is on
        the other skeleton too (bool), and the probabilities.
    """
    where = own[:, 1].nonzero(as_tuple=True)
    dtype = probabilities.dtype
    distance, other_distance, scale = (values[where].to(dtype) for values in (own[:, 0], other[:, 0], own[:, 1]))
    return distance, other_distance, scale, other[:, 1][where] > 0, probabilities[where]


def centrelines(masks: Tensor, weighting: Weighting = "inverse") -> Tensor:
    """Return normalised distances to the boundary, and weighted skeletons.

    Args:
        masks: ``(C, H, W)`` bool, on the CPU.
        weighting: see `CbDiceLoss`.

    Returns:
        ``(2, C, H, W)`` float32: distances D in [0, 1], 1 at the largest distance on the skeleton and above; and W D on
        the skeletons (Zhang and Suen), 0 elsewhere. W D is 1 with ``inverse``.
    """
    result = np.zeros((2, *masks.shape), np.float32)
    for distances, scales, mask in zip(result[0], result[1], masks.numpy(), strict=True):
        if mask.any():
            line = skeleton(mask)
            distances[:] = distance_transform(mask)
            widest = max(1.0, float(distances[line].max(initial=1.0)))
            distances /= widest
            np.minimum(distances, 1, out=distances)
            radii = distances[line]
            scales[line] = 1 if weighting == "inverse" else radii * (1 - radii + 1 / widest)
    return torch.from_numpy(result)
