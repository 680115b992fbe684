"""Prediction of a batch of images by a segmentation network, optionally restricted to the image-level labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from wsss.io.files.stage_files import mask_path, probability_path
from wsss.stages.common.check_outputs import check_mask, check_probabilities

if TYPE_CHECKING:
    from torch import Tensor, nn

    from wsss.data.classes import Classes
    from wsss.data.sample import Sample
    from wsss.models.windows.tile_windows import Tiling


class PredictionSettings(Protocol):
    """The settings of `wsss.stages.predict` that determine the files of an image."""

    images: Path | None
    scales: tuple[float, ...]
    flip: bool
    max_side: int | None
    save_probabilities: bool
    labels: Literal["ignore", "restrict"]


def predict_batch(
    model: nn.Module,
    classes: Classes,
    batch: tuple[Sample, ...],
    config: PredictionSettings,
    tiling: Tiling | None,
    out: Path,
) -> None:
    """Write the masks and, with ``save_probabilities``, the class probabilities of images of one size.

    Args:
        model, classes: the network.
        tiling: tiles of larger images; see `wsss.models.segmentation_networks.blockwise_prediction.predict`.
    """
    from wsss.io.rasters.label_masks import write_mask
    from wsss.io.rasters.probabilities import write_probabilities
    from wsss.io.rasters.rgb_images import read_images
    from wsss.models.segmentation_networks.blockwise_prediction import predict

    images = read_images([sample.source for sample in batch])
    allowed = [allowed_classes(config, sample) for sample in batch]
    predicted = predict(
        model,
        images,
        len(classes),
        scales=config.scales,
        flip=config.flip,
        max_side=config.max_side,
        tiling=tiling,
        probabilities=config.save_probabilities,
        change=lambda probabilities, which: restricted(probabilities, allowed[which]),
    )
    del images  # large ones would add to the memory for writing
    for index, sample in enumerate(batch):
        if predicted.probabilities is not None:
            write_probabilities(probability_path(out, sample.id), predicted.probabilities[index])
        write_mask(mask_path(out, sample.id), classes.decode(predicted.masks[index]))


def allowed_classes(config: PredictionSettings, sample: Sample) -> tuple[int, ...] | None:
    """Return the class indices that the mask of an image may have; ``None`` for all."""
    if config.labels == "ignore" or sample.labels is None:
        return None
    return tuple(sorted({0, *sample.labels, *sample.unknown}))


def restricted(probabilities: Tensor, allowed: Sequence[Sequence[int] | None]) -> Tensor:
    """Set the probabilities ``(B, C, H, W)`` of classes that are not allowed to 0, and renormalise.

    Args:
        probabilities: ``(B, C, H, W)``, sum 1 over the classes.
        allowed: allowed class indices per image; ``None`` for all.
    """
    import torch

    if all(classes is None for classes in allowed):
        return probabilities
    mask = torch.zeros(probabilities.shape[:2], dtype=torch.bool, device=probabilities.device)
    for row, classes in zip(mask, allowed, strict=True):
        row[slice(None) if classes is None else list(classes)] = True
    kept = probabilities * mask[:, :, None, None]
    total = kept.sum(1, keepdim=True)
    kept[:, :1] += total == 0  # an absent class had probability 1: background
    changed = torch.tensor([classes is not None for classes in allowed], device=probabilities.device)
    return torch.where(changed[:, None, None, None], kept / kept.sum(1, keepdim=True), probabilities)


def outputs_of(config: PredictionSettings, out: Path, image_id: str) -> list[Path]:
    """Return the output files of an image."""
    masks = [mask_path(out, image_id)]
    return [*masks, probability_path(out, image_id)] if config.save_probabilities else masks


def check_outputs(config: PredictionSettings, out: Path, sample: Sample, classes: Classes) -> None:
    """Validate the output files of an image; for ``InvalidInput`` see `wsss.stages.common.check_outputs`."""
    allowed = allowed_classes(config, sample)
    check_mask(sample, out=out, classes=classes, allowed=range(len(classes)) if allowed is None else allowed)
    if config.save_probabilities:
        check_probabilities(sample, out=out, classes=classes)
