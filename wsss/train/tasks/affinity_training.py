"""The loss of boundary networks: pairs of nearby elements with certain labels, equal or different.

Ahn, Cho & Kwak (IRN, CVPR 2019), with ``affinity = 1 − max boundary on the path``: half the mean of ``−log affinity``
over the pairs of the same object class, half that over the pairs of background, and the mean of ``−log (1 −
affinity)`` over the pairs of different classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsss.io.rasters.label_masks import IGNORE
from wsss.refine.pixel_pairs import Step, first_and_second, steps


def pair_loss(radius: int) -> Callable[[nn.Module, Sequence[Tensor]], Tensor]:
    """Return the loss function (network, batch) → scalar of the training loop.

    Args:
        radius: distance below which elements form a pair; see `wsss.refine.pixel_pairs.steps`.
    """

    def compute(model: nn.Module, batch: Sequence[Tensor]) -> Tensor:
        images, labels = batch
        logits: Tensor = model(images)
        return affinity_loss(logits, at_centres(labels, (logits.shape[1], logits.shape[2])), radius)

    return compute


def at_centres(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the labels ``(B, *size)`` at the centres of the elements of a grid that divides ``(B, H, W)`` evenly."""
    rows, columns = (
        ((torch.arange(target, device=labels.device) + 0.5) * side / target).long()
        for side, target in zip(labels.shape[1:], size, strict=True)
    )
    return labels[:, rows][:, :, columns]


def affinity_loss(logits: Tensor, labels: Tensor, radius: int) -> Tensor:
    """Return the loss; kinds of pairs that do not occur add 0.

    Args:
        logits: ``(B, h, w)``, logits of boundaries.
        labels: ``(B, h, w)``: class indices, 255 for unknown.
        radius: see `pair_loss`.
    """
    sums, counts = logits.new_zeros(3), logits.new_zeros(3)
    for step in steps(radius):
        added, counted = _of_step(logits, labels, step)
        sums, counts = sums + added, counts + counted
    object_pairs, background_pairs, different_pairs = sums / counts.clamp(min=1)
    return object_pairs / 2 + background_pairs / 2 + different_pairs


def _of_step(logits: Tensor, labels: Tensor, step: Step) -> tuple[Tensor, Tensor]:
    """Return the summed losses ``(3,)`` and the numbers ``(3,)`` of object, background and different pairs."""
    (rows, columns), (rows_second, columns_second) = first_and_second((logits.shape[1], logits.shape[2]), step.offset)
    first, second = labels[:, rows, columns], labels[:, rows_second, columns_second]
    views = [
        logits[:, rows.start + down : rows.stop + down, columns.start + right : columns.stop + right]
        for down, right in step.path
    ]
    highest = reduce(torch.maximum, views)
    known = (first != IGNORE) & (second != IGNORE)
    same = known & (first == second)
    kinds = torch.stack([same & (first > 0), same & (first == 0), known & (first != second)])
    # affinity = 1 − σ(highest), so −log affinity = softplus(highest)
    together, apart = F.softplus(highest), F.softplus(-highest)
    losses = torch.stack([together, together, apart])
    return torch.where(kinds, losses, 0.0).sum((1, 2, 3)), kinds.sum((1, 2, 3)).to(logits.dtype)
