"""Centerline boundary Dice (Shi et al., MICCAI 2024): clDice whose centrelines know how wide the structure is."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from wsss.losses.base import known
from wsss.losses.cache import LabelCache
from wsss.losses.config import CbDiceConfig, Weighting
from wsss.losses.term import LossWithTerm, foreground, one_hot
from wsss.topology import distance_transform, skeleton


class CbDiceLoss(LossWithTerm):
    """``base_weight · base + alpha · (1 − 2 P S / (P + S))`` with weighted topology precision P and sensitivity S.

    For each sample and class, V is a mask (the label, or where the probability p is above ½) and K its skeleton; D is
    the distance of a pixel of V to the boundary, clipped at the largest one on K and divided by it (by at least 1
    pixel), so that ``R = D`` on K is the local radius over the largest; L and P stand for label and prediction, W for
    the weight of a pixel of a skeleton. Then

    - ``P = (Σ_{K_P} W_P p D_L + s) / (Σ_{K_P ∩ K_L} W_P p R_L + Σ_{K_P \\ K_L} W_P p² R_P + s)``,
    - ``S = (Σ_{K_L} W_L p D_P + s) / (Σ_{K_L ∩ K_P} W_L p R_P + Σ_{K_L \\ K_P} W_L R_L + s)``,

    sums over all samples and all classes but the background, s ``smooth``. That is the authors' code
    (PengchengShi1220/cbDice, radii of the other skeleton where there is one) written out for 2-D.

    With ``weighting: inverse`` ``W = 1 / R``, as in their code of September 2024 and in TopoMortar's copy of it; it
    adds 1e-7 in 1 / R. With ``linear`` ``W = 1 − R + 1 / r``, r the largest radius in pixels, as their code has it
    since; they report better results with it.

    As in their code, P or S may exceed 1 where thin branches cross a wide structure, and the term then be below 0; of a
    perfect prediction it is 0.

    Chosen here: skeletons are those of the masks (Zhang and Suen), times p for the prediction, as TopoMortar's code
    does with another thinning; the gradient comes through p alone. Each class is set against the rest, where the
    authors set all classes together against the background. Pixels of unknown class are background in both.

    The authors' whole loss is ``½ CE + α/(2(α + β)) Dice + β/(2(α + β)) cbDice``: α = β = 1 are the defaults.

    Skeletons and distances are computed on the CPU, wherever the logits are; the labels' are kept (`LabelCache`).
    """

    def __init__(self, config: CbDiceConfig | None = None) -> None:
        config = config or CbDiceConfig()
        super().__init__(config)
        self.smooth = config.smooth
        self.centrelines = partial(centrelines, weighting=config.weighting)
        self.cache = LabelCache(self.centrelines, config.cache_mb)

    def term(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return ``1 − cbDice``; see `LossWithTerm.term`."""
        smooth = self.smooth
        probabilities = foreground(logits) * known(target).unsqueeze(1)
        true = self.cache(one_hot(target, logits.shape[1]))
        masks = (probabilities.detach() > 0.5).cpu()
        predicted = torch.stack([self.centrelines(mask) for mask in masks]).to(true.device)

        distance, other, scale, on_other, p = _on_skeleton(predicted, true, probabilities)
        found = (scale * p * other / distance).sum()
        whole = (torch.where(on_other, other / distance, p) * scale * p).sum()
        precision = (found + smooth) / (whole + smooth)

        distance, other, scale, on_other, p = _on_skeleton(true, predicted, probabilities)
        covered = scale * p * other / distance
        sensitivity = (covered.sum() + smooth) / (torch.where(on_other, covered, scale).sum() + smooth)
        return 1 - 2 * precision * sensitivity / (precision + sensitivity)


def _on_skeleton(own: Tensor, other: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return what counts at the ``n`` pixels of a mask's skeleton.

    Args:
        own: ``(B, 2, C, H, W)``, the `centrelines` of the mask.
        other: those of the other mask.
        probabilities: ``(B, C, H, W)``.

    Returns:
        ``(n,)`` each: own distances, the other's distances, own weights times distances, whether the other's skeleton
        is there, too (bool), and the probabilities.
    """
    where = own[:, 1].nonzero(as_tuple=True)
    dtype = probabilities.dtype
    distance, further, scale = (one[where].to(dtype) for one in (own[:, 0], other[:, 0], own[:, 1]))
    return distance, further, scale, other[:, 1][where] > 0, probabilities[where]


def centrelines(masks: Tensor, weighting: Weighting = "inverse") -> Tensor:
    """Return normalised distances to the boundary, and skeletons.

    Args:
        masks: ``(C, H, W)`` bool, on the CPU.
        weighting: see `CbDiceLoss`.

    Returns:
        ``(2, C, H, W)`` float32: distances D in [0, 1], 1 where they reach the largest one on the skeleton; and W D on
        the skeletons of Zhang and Suen, 0 elsewhere: the weight of a pixel times its distance, 1 with ``inverse``.
    """
    found = np.zeros((2, *masks.shape), np.float32)
    for distances, scales, mask in zip(found[0], found[1], masks.numpy(), strict=True):
        if mask.any():
            line = skeleton(mask)
            distances[:] = distance_transform(mask)
            widest = max(1.0, float(distances[line].max(initial=1.0)))
            distances /= widest
            np.minimum(distances, 1, out=distances)
            radii = distances[line]
            scales[line] = 1 if weighting == "inverse" else radii * (1 - radii + 1 / widest)
    return torch.from_numpy(found)
