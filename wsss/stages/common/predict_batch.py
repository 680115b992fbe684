"""The masks of a batch of images, by a segmentation network; restricted to the image-level labels where asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wsss.io.files.stage_files import mask_path, probability_path
from wsss.stages.common.finished import check_mask, check_probabilities

if TYPE_CHECKING:
    from torch import Tensor

    from wsss.data.sample import Classes, Sample
    from wsss.models.segmenters import SegmentationNetwork
    from wsss.stages.predict import PredictConfig


def predict_batch(
    model: SegmentationNetwork, classes: Classes, batch: tuple[Sample, ...], config: PredictConfig, out: Path
) -> None:
    """Write the masks of images of one size, and their probabilities where these are asked for."""
    import numpy as np

    from wsss.io.rasters.label_masks import write_mask
    from wsss.io.rasters.probabilities import write_probabilities
    from wsss.io.rasters.rgb_images import read_image
    from wsss.models.blockwise_prediction import predict

    images = np.stack([read_image(sample.image) for sample in batch])
    allowed = [allowed_classes(config, sample) for sample in batch]
    found = predict(
        model,
        images,
        len(classes),
        scales=config.scales,
        flip=config.flip,
        max_side=config.max_side,
        probabilities=config.save_probabilities,
        change=lambda probabilities, which: restricted(probabilities, allowed[which]),
    )
    for place, sample in enumerate(batch):
        if found.probabilities is not None:
            write_probabilities(probability_path(out, sample.id), found.probabilities[place])
        write_mask(mask_path(out, sample.id), classes.decode(found.masks[place]))


def allowed_classes(config: PredictConfig, sample: Sample) -> tuple[int, ...] | None:
    """Return the classes that an image's mask may show, ``None`` for any."""
    if config.labels == "ignore" or sample.labels is None:
        return None
    return tuple(sorted({0, *sample.labels, *sample.unknown}))


def restricted(probabilities: Tensor, allowed: Sequence[Sequence[int] | None]) -> Tensor:
    """Return probabilities ``(B, C, H, W)`` with those of classes that aren't allowed at 0, adding up to 1 again."""
    import torch

    if all(classes is None for classes in allowed):
        return probabilities
    kept = torch.zeros(probabilities.shape[:2], dtype=torch.bool, device=probabilities.device)
    for row, classes in zip(kept, allowed, strict=True):
        row[slice(None) if classes is None else list(classes)] = True
    left = probabilities * kept[:, :, None, None]
    total = left.sum(1, keepdim=True)
    left[:, :1] += total == 0  # certainty of an absent class: what remains is background
    changed = torch.tensor([classes is not None for classes in allowed], device=probabilities.device)
    return torch.where(changed[:, None, None, None], left / left.sum(1, keepdim=True), probabilities)


def outputs_of(config: PredictConfig, out: Path, image_id: str) -> list[Path]:
    """Return the files of an image."""
    masks = [mask_path(out, image_id)]
    return [*masks, probability_path(out, image_id)] if config.save_probabilities else masks


def check_outputs(config: PredictConfig, out: Path, sample: Sample, classes: Classes) -> None:
    """Read the files of an image.

    Raises:
        InvalidInput: one of them is no result of it, see `wsss.stages.common.finished`.
    """
    allowed = allowed_classes(config, sample)
    check_mask(sample, out=out, classes=classes, allowed=range(len(classes)) if allowed is None else allowed)
    if config.save_probabilities:
        check_probabilities(sample, out=out, classes=classes)
