"""TOPO (Oner et al., PAMI 2021): regions separated by the structure stay apart and connected in a distance map."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wsss.losses.base import Loss, labelled, zero_loss
from wsss.losses.config import TopoConfig
from wsss.losses.term import LossWithTerm, log_odds, one_hot
from wsss.losses.topological.thread_share import thread_count
from wsss.topology import critical_pixels
from wsss.topology.distance import squared_distances
from wsss.topology.threads import in_threads


class TopoWindowLoss(LossWithTerm):
    """``base_weight · MSE + alpha · mean over images and classes of the sum over windows of (D + beta · C)``.

    The network regresses a distance map: the log-odds of a class, times ``pixels_per_logit``, should be the signed
    distance to its boundary in pixels (positive inside), clipped at ``d_max``. MSE is the mean over pixels. The argmax
    of the logits is then the mask, and any network with one channel per class, or a single one, can be used.

    ``y`` and ``ŷ`` are the true and the predicted distance outside, the negative of the signed one. In each window the
    label's structure, dilated by ``margin`` pixels, divides the background into regions.

    - ``D`` is the mean, over pairs of pixels of regions separated by the structure itself, of ``max(0, ŷ)²`` at the
      worst pixel of the best path between them; above 0, the predicted structure has a gap there.
    - ``C`` is the mean, over pairs of pixels of one region at least ``d_min`` from the structure, of ``max(0, y − ŷ)²``
      at the worst pixel of the best path between them; above 0, a spurious structure divides the region.

    See `wsss.topology.critical_pixels` for both. ``margin`` and ``d_min`` are compared with distances in pixels; D and
    C are in units of ``pixels_per_logit``.

    From the paper: a regressed distance map, regions, windows, both terms, alpha and beta. Our choices: distances are
    signed, so that a threshold gives the mask; regions on both sides of a gap in the label are not separate, whereas in
    the authors' code the dilated structure decides (``gaps="close"``); the critical element of a path is a pixel, not
    an edge valued by the sum of its pixels; the target of C is y and not ``d_max``. With the last three choices, a
    perfect prediction has a term of 0. (The code of TopoMortar uses distances inside the structure, 0 outside, for
    which D and C work against the structure.)

    Ignored pixels are background, have no loss, and have the true distance instead of a predicted one, so that a path
    through them is as good as its labelled pixels.

    ``active_from`` requires a call of `begin_step` before each training step; otherwise the term is active from the
    first call of the loss.

    Example:
        >>> import torch
        >>> from wsss.losses import TopoWindowLoss
        >>> loss = TopoWindowLoss(window=32, margin=2, d_min=4)
        >>> loss(torch.randn(1, 1, 32, 32), torch.randint(0, 2, (1, 32, 32))).item() > 0
        True
    """

    traceable = False
    config_type = TopoConfig
    config: TopoConfig

    def make_base(self) -> Loss:
        """Return the mean squared error of signed distances."""
        return _SignedDistance(self.config)

    def term(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the mean over images and classes of ``Σ (D + beta · C)``; see `LossWithTerm.term`."""
        config, mask = self.config, labelled(target).unsqueeze(1)
        outside = -log_odds(logits)
        pixels = -signed_distances(one_hot(target, logits.shape[1]), config.d_max).clamp(max=0)
        true = _in_logits(pixels, outside, config)
        predicted = outside.detach().where(mask, true)
        pairs = list(zip(predicted.flatten(0, 1).cpu().numpy(), pixels.flatten(0, 1).numpy(), strict=True))
        shares = in_threads(
            lambda pair: critical_pixels(
                *pair,
                window=config.window,
                margin=config.margin,
                min_distance=config.d_min,
                keep_gaps=config.gaps == "keep",
            ),
            pairs,
            thread_count(config.threads),
        )
        between, within = (
            torch.from_numpy(np.stack(maps)).view(outside.shape).to(outside) * mask
            for maps in zip(*shares, strict=True)
        )
        # Only at the chosen pixels: elsewhere, 0 times an infinite distance (of a probability of 0 or 1) would be NaN.
        gap, barrier = outside.masked_fill(between == 0, 0), (true - outside).masked_fill(within == 0, 0)
        separation = (between * gap.relu().square()).sum()
        connection = (within * barrier.relu().square()).sum()
        return (separation + config.beta * connection) / len(pairs)


class _SignedDistance(Loss):
    """Mean squared error of log-odds with respect to signed distances, over all classes except the background."""

    def __init__(self, config: TopoConfig) -> None:
        super().__init__()
        self.topo = config

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss; see `wsss.losses.base`."""
        mask = labelled(target)
        if not mask.any():
            return zero_loss(logits)
        odds = log_odds(logits)
        distances = signed_distances(one_hot(target, logits.shape[1]), self.topo.d_max)
        return (odds - _in_logits(distances, odds, self.topo)).square().movedim(1, -1)[mask].mean()


def _in_logits(distances: Tensor, odds: Tensor, config: TopoConfig) -> Tensor:
    """Return distances in units of a logit, of the type and on the device of ``odds``."""
    return distances.to(odds.dtype).to(odds.device) / config.pixels_per_logit


def signed_distances(labels: Tensor, longest: float) -> Tensor:
    """Return the Euclidean distance of each pixel to the boundary of each label: positive inside, negative outside.

    Distances run between pixel centres, to the nearest pixel outside (or inside), so the smallest absolute value is 1.

    Args:
        labels: ``(B, C, H, W)`` bool.
        longest: maximum absolute value in pixels; also the value throughout an empty (negative) or full label.

    Returns:
        ``(B, C, H, W)`` float64 on the CPU. The values are roots of integers, rounded once, so that comparisons with
        ``math.sqrt(n)`` are exact.
    """
    masks = labels.cpu().numpy().reshape(-1, *labels.shape[2:])
    result = np.empty(masks.shape)
    for distances, mask in zip(result, masks, strict=True):
        if mask.all() or not mask.any():
            distances[:] = longest if mask.any() else -longest
        else:
            squares = squared_distances(mask) - squared_distances(~mask)  # one of the two is 0
            np.copysign(np.sqrt(np.abs(squares)), squares, out=distances)
    return torch.from_numpy(result.clip(-longest, longest)).view(labels.shape)
