"""Training of samplers: parameter groups, the loss with an area term, and statistics of offsets."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wsss.models.classifier import CAMClassifier
from wsss.models.samplers import DeformableSampler
from wsss.models.weights.frozen_layers import freeze_to_stride
from wsss.train.config import AdamWConfig, SGDConfig
from wsss.train.optim import Group
from wsss.train.tasks.classification import soft_margin


def sampler_groups(
    classifier: CAMClassifier,
    sampler: DeformableSampler | None,
    optimiser: SGDConfig | AdamWConfig,
    *,
    trainable: Sequence[str],
    offset_factor: float,
    kernel_factor: float,
) -> list[Group]:
    """Return the groups of trained parameters, and freeze all others, also the layers frozen by the backbone's config.

    Args:
        sampler: the sampler to train, if any.
        optimiser: ``lr`` applies to the trunk and to a last convolution after the samplers, ``head_lr_factor`` to the
            class maps.
        trainable: parts to train: ``offsets``, ``kernel``, ``sampler`` (both), ``head`` (all layers after the sampler),
            ``trunk``.
        offset_factor, kernel_factor: learning rates of offset branch and kernel, as multiples of ``optimiser.lr``.
    """
    classifier.requires_grad_(False)
    branch = sampler.branch if sampler is not None else None
    last = classifier.backbone.last
    groups: list[Group] = []
    learning = {*trainable, *(("offsets", "kernel") if "sampler" in trainable else ())}
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
    backbone = classifier.config.backbone
    if backbone is not None and backbone.freeze_to_stride is not None:
        freeze_to_stride(classifier.backbone, backbone.freeze_to_stride, backbone.name)
    classifier.freeze_untrained_parts()
    return groups


class LogitsAndArea(nn.Module):
    """A classifier that also returns the area of each class."""

    def __init__(self, classifier: CAMClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor, statistics: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return logits and areas, each ``(B, K)``, of images ``(B, 3, H, W)``; see `CAMClassifier.features`."""
        maps = self.classifier.maps(self.classifier.features(images, statistics))
        return self.classifier.pooling(maps), map_areas(maps)


def map_areas(maps: Tensor) -> Tensor:
    """Return the mean of each class map ``(B, K, h, w)`` after ReLU over its maximum: ``(B, K)``, in [0, 1].

    The maximum is detached: with a positive weight, the map decreases everywhere instead of its peak increasing; with
    a negative weight, it increases wherever it is positive.
    """
    positive = maps.relu()
    peak = positive.amax((2, 3)).detach()
    return positive.mean((2, 3)) / peak.clamp(min=torch.finfo(maps.dtype).tiny)


def area_loss(weight: float, model: nn.Module, batch: Sequence[Tensor]) -> Tensor:
    """Return the multi-label soft margin loss plus ``weight`` times the mean area of present classes.

    The mean is over the classes of all images of the (process's) batch. The reversed gradient of an expansion sampler's
    offsets applies to both terms.
    """
    images, labels, *statistics = batch
    logits, areas = model(images, *statistics)
    present = labels.nan_to_num(0.0)
    area = (areas * present).sum() / present.sum().clamp(min=1)
    return soft_margin(logits, labels) + weight * area


def offset_summary(offsets: Sequence[Tensor]) -> dict[str, float]:
    """Return statistics of offsets, in feature pixels.

    ``offset_size`` is the mean absolute offset; ``offset_rows`` and ``offset_columns`` are signed means;
    ``offset_drift`` is the mean, over images, taps and directions, of the absolute value of an image's mean offset: as
    large as ``offset_size`` for a sampler that only translates.

    Args:
        offsets: per image ``(1, 2·T, h, w)``, alternating rows and columns.
    """
    by_direction = [image.unflatten(1, (-1, 2)).transpose(1, 2).flatten(2).flatten(0, 1) for image in offsets]
    flat = torch.cat(by_direction, 1).double()
    rows, columns = flat
    return {
        "offset_size": float(flat.abs().mean()),
        "offset_rows": float(rows.mean()),
        "offset_columns": float(columns.mean()),
        "offset_drift": float(torch.cat([image.double().mean((2, 3)).abs() for image in offsets]).mean()),
    }
