"""Augmentation and evaluation transforms; the only module that uses albumentations.

A transform is a pure function of (image, mask, seed): the same seed gives the same bytes in every process and thread,
in any order of calls. Images stay uint8; normalisation is part of the model. A mask may also be a map of class
probabilities, which is interpolated.
"""

from __future__ import annotations

import math
import os
import random
import threading
from functools import cache
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from wsss.data.image_transforms.augmentation import (
    ClassificationAugmentation,
    ColourJitter,
    Fit,
    Rotation,
    SegmentationAugmentation,
)
from wsss.data.image_transforms.intensity import Change
from wsss.data.image_transforms.resizing import opencv
from wsss.io.rasters.label_masks import IGNORE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.data.image_transforms.augmentation import Colour

    Pixels = NDArray[np.uint8]
    Maps = NDArray[np.float32]

TransformSettings = ClassificationAugmentation | SegmentationAugmentation | Fit

_local = threading.local()


class Transform:
    """A transform of an image, or of an image and its mask.

    Args:
        settings: `ClassificationAugmentation`, `SegmentationAugmentation` or `Fit`.
    """

    def __init__(self, settings: TransformSettings) -> None:
        self.settings = settings

    @overload
    def __call__(self, image: Pixels, mask: None = None, *, seed: int) -> Pixels: ...
    @overload
    def __call__(self, image: Pixels, mask: Pixels, *, seed: int) -> tuple[Pixels, Pixels]: ...
    @overload
    def __call__(self, image: Pixels, mask: Maps, *, seed: int) -> tuple[Pixels, Maps]: ...

    def __call__(
        self, image: Pixels, mask: Pixels | Maps | None = None, *, seed: int
    ) -> Pixels | tuple[Pixels, Pixels | Maps]:
        """Transform one image.

        Args:
            image: ``(H, W, 3)`` uint8 RGB.
            mask: ``(H, W)`` uint8; not interpolated, 255 in the padding. Or probabilities ``(H, W, C)`` float32;
                interpolated, 0 in the padding.
            seed: ≥ 0; determines all random numbers.

        Returns:
            The image ``(size, size, 3)`` uint8; with a mask, also ``(size, size)`` uint8 or ``(size, size, C)``
            float32.

        Raises:
            ValueError: image and mask differ in size.
        """
        if mask is not None and mask.shape[:2] != image.shape[:2]:
            raise ValueError(f"mask {mask.shape} and image {image.shape[:2]} differ in size")
        if isinstance(self.settings, SegmentationAugmentation):
            image, mask = _enlarge_if_tiny(image, mask, math.ceil(1 / self.settings.scale[0]))
        soft = mask is not None and mask.ndim == 3
        pipeline = _pipeline(self.settings, soft)
        # Not set_random_seed: it gives every step a generator of its own with this seed, so that all steps draw the
        # same numbers, and flips depend on the scale, for example. Here, the steps share one sequence of numbers.
        pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
        if mask is None:
            return np.ascontiguousarray(pipeline(image=image)["image"])
        result = pipeline(image=image, mask=mask)
        changed = np.ascontiguousarray(result["mask"])
        return np.ascontiguousarray(result["image"]), _normalised(changed) if soft else changed


def _pipeline(settings: TransformSettings, soft: bool) -> Any:
    """Return the pipeline of this thread; seeding modifies a pipeline, so threads must not share one."""
    pipelines: dict[tuple[TransformSettings, bool], Any] = _local.__dict__.setdefault("pipelines", {})
    if (settings, soft) not in pipelines:
        pipelines[settings, soft] = _albumentations().Compose(_STEPS[type(settings)](settings, soft), seed=0)
    return pipelines[settings, soft]


def _fit_steps(settings: Fit, soft: bool) -> list[Any]:
    longest = _albumentations().LongestMaxSize(settings.size, area_for_downscale="image")
    return [longest, _pad(settings.size, settings.fill)]


def _classification_steps(settings: ClassificationAugmentation, soft: bool) -> list[Any]:
    albumentations = _albumentations()
    if settings.method == "resized_crop":
        square = (settings.size, settings.size)
        crop = [
            albumentations.RandomResizedCrop(
                square, scale=settings.area, ratio=settings.aspect, area_for_downscale="image"
            )
        ]
    else:
        low, high = settings.longer_side
        crop = [
            albumentations.LongestMaxSize(list(range(low, high + 1)), area_for_downscale="image"),
            _pad(settings.size, settings.fill, position="random"),
            albumentations.RandomCrop(settings.size, settings.size),
        ]
    return [*crop, albumentations.HorizontalFlip(p=settings.flip), *_jitter(settings.colour)]


def _segmentation_steps(settings: SegmentationAugmentation, soft: bool) -> list[Any]:
    """Return the steps of training; colours come last, when there are fewest pixels.

    The same seed draws the same numbers for masks and for soft maps, whose steps differ in interpolation only.
    """
    albumentations, cv2 = _albumentations(), opencv()
    fill: dict[str, Any] = {"fill": settings.fill, "fill_mask": 0 if soft else IGNORE}
    interpolation = cv2.INTER_LINEAR if soft else cv2.INTER_NEAREST
    # When resizing, INTER_NEAREST would shift masks by up to a pixel relative to the image.
    resizing = cv2.INTER_LINEAR if soft else cv2.INTER_NEAREST_EXACT
    border = cv2.BORDER_REPLICATE if settings.border == "replicate" else cv2.BORDER_CONSTANT
    low, high = settings.scale
    changes = (
        settings.noise,
        settings.blur,
        settings.brightness,
        settings.contrast,
        settings.low_resolution,
        settings.gamma_inverted,
        settings.gamma,
    )
    return [
        *_rotation(settings.rotation, border_mode=border, mask_interpolation=interpolation, **fill),
        albumentations.RandomScale(
            (low - 1, high - 1),  # albumentations expects factor − 1
            area_for_downscale="image",
            mask_interpolation=resizing,
            p=settings.scale_probability,
        ),
        albumentations.PadIfNeeded(settings.size, settings.size, position="random", border_mode=border, **fill),
        albumentations.RandomCrop(settings.size, settings.size),
        _flip(settings),
        *(_change_class()(change) for change in changes if change is not None),
        *_jitter(settings.colour),
        *([] if settings.random_hue is None else [_change_class()(settings.random_hue)]),
    ]


_STEPS: dict[type, Any] = {
    Fit: _fit_steps,
    ClassificationAugmentation: _classification_steps,
    SegmentationAugmentation: _segmentation_steps,
}


def _rotation(rotation: Rotation | None, **options: Any) -> list[Any]:
    if rotation is None:
        return []
    return [_albumentations().Rotate((-rotation.degrees, rotation.degrees), p=rotation.probability, **options)]


def _flip(settings: SegmentationAugmentation) -> Any:
    albumentations = _albumentations()
    if settings.flip_axis == "either":
        axes = [albumentations.HorizontalFlip(p=1.0), albumentations.VerticalFlip(p=1.0)]
        return albumentations.OneOf(axes, p=settings.flip)
    return albumentations.HorizontalFlip(p=settings.flip)


def _jitter(colour: ColourJitter | None) -> list[Any]:
    if colour is None:
        return []
    options = colour.model_dump()
    return [_albumentations().ColorJitter(p=options.pop("probability"), **options)]


def _pad(size: int, fill: Colour, position: str = "center") -> Any:
    return _albumentations().PadIfNeeded(
        size, size, position=position, border_mode=opencv().BORDER_CONSTANT, fill=fill, fill_mask=IGNORE
    )


@cache
def _change_class() -> type[Any]:
    """Return the albumentations transform of a `Change`; defined here since it needs the library."""

    class Changed(_albumentations().ImageOnlyTransform):  # type: ignore[misc]
        def __init__(self, change: Change) -> None:
            super().__init__(p=change.probability)
            self.change = change

        def get_params(self) -> dict[str, Any]:
            return {"seed": self.py_random.getrandbits(64)}

        def apply(self, img: Pixels, seed: int, **params: Any) -> Pixels:
            return self.change.apply(img, np.random.default_rng(seed))

    return Changed


def _normalised(maps: Maps) -> Maps:
    """Rescale the probabilities of each pixel to sum 1, or to 0 where more than half of the pixel is padding."""
    sums = maps.sum(-1, keepdims=True)
    return np.where(sums > 0.5, maps / np.maximum(sums, 0.5), np.float32(0)).astype(np.float32)


def _enlarge_if_tiny(image: Pixels, mask: Pixels | Maps | None, side: int) -> tuple[Pixels, Pixels | Maps | None]:
    """Enlarge images of a few pixels, which scaling down would reduce to nothing."""
    height, width = image.shape[:2]
    if min(height, width) >= side:
        return image, mask
    size, nearest = (max(width, side), max(height, side)), opencv().INTER_NEAREST
    enlarged = mask if mask is None else opencv().resize(mask, size, interpolation=nearest)
    return opencv().resize(image, size, interpolation=nearest), enlarged


@cache
def _albumentations() -> Any:
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else importing it checks for updates online
    import albumentations

    return albumentations
