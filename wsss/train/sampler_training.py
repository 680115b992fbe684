"""Training of samplers: which parameters learn how fast, the loss with an area term, and how far offsets have moved."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wsss.models.classifier import CAMClassifier
from wsss.models.samplers import DeformableSampler
from wsss.train.classification import soft_margin
from wsss.train.config import AdamWConfig, SGDConfig
from wsss.train.optim import Group


def sampler_groups(
    classifier: CAMClassifier,
    sampler: DeformableSampler | None,
    optimiser: SGDConfig | AdamWConfig,
    *,
    update: Sequence[str],
    offset_factor: float,
    kernel_factor: float,
) -> list[Group]:
    """Return the parameters that learn, and stop the gradients of all others.

    Args:
        classifier: the samplers stand in it.
        sampler: the one that is trained; without one its two groups are empty.
        optimiser: its ``lr`` is that of the trunk and of a last convolution behind the samplers; the class maps have
            ``head_lr_factor`` times as much.
        update: which of ``offsets``, ``kernel``, ``sampler`` (both), ``head`` (all behind it) and ``trunk`` learn.
        offset_factor, kernel_factor: learning rates of offset branch and kernel, in multiples of ``optimiser.lr``.
    """
    classifier.requires_grad_(False)
    branch = sampler.branch if sampler is not None else None
    last = classifier.backbone.last
    groups: list[Group] = []
    learning = {*update, *(("offsets", "kernel") if "sampler" in update else ())}
    if "offsets" in learning and branch is not None:
        groups.append(Group(list(branch.parameters()), offset_factor))
    if "kernel" in learning and sampler is not None:
        groups.append(Group([sampler.kernel], kernel_factor))
    if "head" in learning:
        groups.append(Group(list(classifier.head.parameters()), optimiser.head_lr_factor))
        if classifier.early:
            groups.append(Group(list(last.parameters())))
    if "trunk" in learning:
        trunk = [classifier.backbone.low, classifier.backbone.high, *([] if classifier.early else [last])]
        groups.append(Group([parameter for module in trunk for parameter in module.parameters()]))
    for group in groups:
        for parameter in group.parameters:
            parameter.requires_grad_(True)
    classifier.freeze_untrained_parts()
    return groups


class LogitsAndArea(nn.Module):
    """A classifier that also tells how much of the image each class covers."""

    def __init__(self, classifier: CAMClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor, statistics: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return logits and areas, each ``(B, K)``, of images ``(B, 3, H, W)``; see `CAMClassifier.features`."""
        maps = self.classifier.maps(self.classifier.features(images, statistics))
        return self.classifier.pooling(maps), map_areas(maps)


def map_areas(maps: Tensor) -> Tensor:
    """Return the mean of each class map ``(B, K, h, w)`` after ReLU over its maximum: ``(B, K)``, in [0, 1].

    The maximum counts as a constant: with a positive weight the map falls everywhere, rather than that its peak rises;
    with a negative one it rises wherever it is positive, its peak too.
    """
    positive = maps.relu()
    peak = positive.amax((2, 3)).detach()
    return positive.mean((2, 3)) / peak.clamp(min=torch.finfo(maps.dtype).tiny)


def area_loss(weight: float, model: nn.Module, batch: Sequence[Tensor]) -> Tensor:
    """Return the multi-label soft margin loss plus ``weight`` times the mean area of the classes that are present.

    The mean runs over the classes of all images of the (process's) batch. The offsets of an expansion sampler, whose
    gradient is reversed, work against both terms.
    """
    images, labels, *statistics = batch
    logits, areas = model(images, *statistics)
    there = labels.nan_to_num(0.0)
    present = (areas * there).sum() / there.sum().clamp(min=1)
    return soft_margin(logits, labels) + weight * present


def offset_summary(offsets: Sequence[Tensor]) -> dict[str, float]:
    """Return how far samples have moved, in feature pixels.

    ``offset_size`` is the mean of the offsets' absolute values; ``offset_rows`` and ``offset_columns`` are their means
    with their signs; ``offset_drift`` is the mean, over images, taps and directions, of the absolute value of what an
    image's offsets have in common: a sampler that only translates has it as large as ``offset_size``.

    Args:
        offsets: per image ``(1, 2·T, h, w)``, rows and columns in turn.
    """
    flat = torch.cat(
        [one.unflatten(1, (-1, 2)).transpose(1, 2).flatten(2).flatten(0, 1) for one in offsets], 1
    ).double()
    rows, columns = flat
    return {
        "offset_size": float(flat.abs().mean()),
        "offset_rows": float(rows.mean()),
        "offset_columns": float(columns.mean()),
        "offset_drift": float(torch.cat([one.double().mean((2, 3)).abs() for one in offsets]).mean()),
    }
