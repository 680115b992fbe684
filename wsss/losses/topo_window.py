"""TOPO (Oner et al., PAMI 2021): what a structure separates stays apart, and whole, in a regressed distance map."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wsss.losses.base import Loss, known, nothing
from wsss.losses.config import TopoConfig
from wsss.losses.distances import signed_distances
from wsss.losses.term import LossWithTerm, log_odds, one_hot
from wsss.topology import critical_pixels
from wsss.topology.threads import in_threads


class TopoWindowLoss(LossWithTerm):
    """``base_weight · MSE + alpha · mean over images and classes of the sum over windows of (D + beta · C)``.

    A network whose log-odds of a class, times ``pixels_per_logit``, are the signed distance to it in pixels (inside
    positive), clipped at ``d_max``: that is what MSE, the mean over pixels, asks for. So argmax of the logits is the
    mask, a threshold of the distance map at 0, and any network with one channel per class, or a single one, will do.

    ``y`` and ``ŷ`` are the true and the predicted distance outside, the negative of the signed one. In each window the
    label's structure, made ``margin`` pixels wider, divides the background into regions.

    - ``D`` is the mean over pairs of pixels of regions that the structure itself keeps apart of ``max(0, ŷ)²`` at the
      worst pixel of the best path between them: if it isn't 0, the structure that separates them has a gap there.
    - ``C`` is the mean over pairs of pixels of one region, both at least ``d_min`` from the structure, of
      ``max(0, y − ŷ)²`` at the worst pixel of the best path between them: if it isn't 0, something divides the region.

    See `wsss.topology.critical_pixels` for both. ``margin`` and ``d_min`` are compared with distances in pixels; what D
    and C add up is in units of ``pixels_per_logit``.

    The paper's: a regressed distance map, regions, windows, both terms, alpha and beta. Ours: the distance has a sign,
    so that a threshold makes it a mask; regions on both sides of a gap that the label itself has aren't separate,
    where in the authors' code the wider structure decides (``gaps: close``); single pixels decide, where theirs looks
    at edges and the sum of their pixels; C asks for y, theirs for ``d_max``. The last three make a perfect prediction
    cost nothing. (In the code of TopoMortar distances are those inside the structure, 0 outside; D and C, which are
    made for distances outside, then work against the structure.)

    Ignored pixels are background, cost nothing, and have the true distance in place of a predicted one: a path through
    them is as good as its labelled pixels.
    """

    def __init__(self, config: TopoConfig | None = None) -> None:
        self.config = config or TopoConfig()
        super().__init__(self.config, _SignedDistance(self.config))

    def term(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the mean over images and classes of ``Σ (D + beta · C)``; see `LossWithTerm.term`."""
        config, mask = self.config, known(target).unsqueeze(1)
        outside = -log_odds(logits)
        pixels = -signed_distances(one_hot(target, logits.shape[1]), config.d_max).clamp(max=0)
        true = _in_logits(pixels, outside, config)
        read = outside.detach().where(mask, true)  # an ignored pixel is as far from the structure as the label says
        pairs = list(zip(read.flatten(0, 1).cpu().numpy(), pixels.flatten(0, 1).numpy(), strict=True))
        found = in_threads(
            lambda pair: critical_pixels(
                *pair,
                window=config.window,
                margin=config.margin,
                far=config.d_min,
                keep_gaps=config.gaps == "keep",
            ),
            pairs,
            config.threads,
        )
        between, within = (
            torch.from_numpy(np.stack(one)).view(outside.shape).to(outside) * mask for one in zip(*found, strict=True)
        )
        apart = (between * outside.relu().square()).sum()
        whole = (within * (true - outside).relu().square()).sum()
        return (apart + config.beta * whole) / len(pairs)


class _SignedDistance(Loss):
    """Mean squared error of log-odds against signed distances, over known pixels and all classes but the background."""

    def __init__(self, config: TopoConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss; see `wsss.losses.base`."""
        mask = known(target)
        if not mask.any():
            return nothing(logits)
        odds = log_odds(logits)
        distances = signed_distances(one_hot(target, logits.shape[1]), self.config.d_max)
        return (odds - _in_logits(distances, odds, self.config)).square().movedim(1, -1)[mask].mean()


def _in_logits(distances: Tensor, odds: Tensor, config: TopoConfig) -> Tensor:
    """Return distances (pixels) in units of a logit, of the type and on the device of ``odds``."""
    return distances.to(odds.dtype).to(odds.device) / config.pixels_per_logit
