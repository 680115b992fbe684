"""Settings for the number and the size of the images, as `wsss init` writes them into a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PHOTO = 200
"""Longer side in pixels (median) below which images count as tiles or thumbnails and are used at their own size."""

USUAL = 500
"""Longer side in pixels of PASCAL VOC's photographs, on which the crops and scales of the presets were chosen."""

TRAIN = 1000
"""Longer side in pixels to which larger photographs are downscaled when read for training: a decoded photograph of 12
megapixels takes as much memory as twenty of these."""

CRF = 1024
"""Longer side in pixels at which the dense CRF is computed."""

BATCH = 16

RELIABLE = 100
"""Number of images for a reliable mean foreground fraction: `wsss init` plans no `calibrate` for fewer in ``val``."""

BOUNDARY_BATCH, BOUNDARY_STEPS = 4, 530
"""Images per step, and steps, of the boundary network of the random walk (`configs/affinity/irn.yaml`)."""


@dataclass(frozen=True)
class Recipe:
    """Settings of a pipeline.

    Args:
        batch: images per step.
        classify_epochs, sampler_epochs, segment_epochs: passes over the training images.
        small: use images at their own size; else the classifier scales their longer sides to 170 to 430 px.
        classify_crop, segment_crop: side of the square crops in pixels, a multiple of 32.
        max_side: longer side in pixels to which larger images are downscaled for maps and predictions.
        crf_side: the same for the dense CRF, whose masks follow the edges of the full-size image.
        train_side: the same for training; ``None`` if no image is larger.
        train_scales: range of size factors of the segmentation network's training images, after ``train_side``.
        boundary_batch: images per step of the boundary network of the random walk.
        boundary_epochs: its passes over the training images.
        boundary_crop: side of its square crops in pixels.
        boundary_scale: size factor of its training images, after ``train_side``.
    """

    batch: int
    classify_epochs: int
    sampler_epochs: int
    segment_epochs: int
    small: bool
    classify_crop: int
    segment_crop: int
    max_side: int
    crf_side: int
    train_side: int | None
    train_scales: tuple[float, float]
    boundary_batch: int
    boundary_epochs: int
    boundary_crop: int
    boundary_scale: float


def choose_recipe(images: int, sides: Sequence[int], *, pretrained: bool) -> Recipe:
    """Return the settings for a training split.

    With pretrained weights, the classifier trains for about 300 steps and the segmentation network for 600, which
    suffices for photographs of PASCAL VOC; from random weights, for ten times and twice as many. Large datasets get at
    least 5 and 10 epochs, small ones at most 40 and 60 (from random weights 100). The boundary network of the random
    walk trains for 530 smaller steps, or 2 to 40 epochs.

    Args:
        images: number of training images, ≥ 1.
        sides: longer sides of the images in pixels.
        pretrained: the networks start from pretrained weights.
    """
    batch = min(BATCH, 1 << max(1, images.bit_length() - 1))  # at least 2, a power of 2 that the images fill

    def epochs(steps: int, minimum: int, maximum: int, batch: int = batch) -> int:
        return max(minimum, min(maximum, round(steps / -(-images // batch))))

    median = sorted(sides)[len(sides) // 2]
    small = median < PHOTO
    crop = max(32, median // 32 * 32)
    factor = min(1.0, USUAL / min(median, TRAIN))
    return Recipe(
        batch=batch,
        classify_epochs=epochs(300, 5, 40) if pretrained else epochs(3000, 5, 100),
        sampler_epochs=epochs(150, 2, 10),
        segment_epochs=epochs(600, 10, 60) if pretrained else epochs(1200, 10, 100),
        small=small,
        classify_crop=min(crop, 224),
        segment_crop=min(crop, 256),
        max_side=USUAL,
        crf_side=CRF,
        train_side=TRAIN if max(sides) > TRAIN else None,
        train_scales=(0.8, 1.25) if small else (round(0.5 * factor, 2), round(1.25 * factor, 2)),
        boundary_batch=min(batch, BOUNDARY_BATCH),
        boundary_epochs=epochs(BOUNDARY_STEPS, 2, 40, min(batch, BOUNDARY_BATCH)),
        boundary_crop=min(crop, 320),
        boundary_scale=round(factor, 2),
    )
