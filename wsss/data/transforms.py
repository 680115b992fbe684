"""Augmentation and evaluation transforms; the only module that knows albumentations.

A transform is a pure function of (image, mask, seed): the same seed gives the same bytes in every process and thread
and in any order of calls. Normalisation is the model's business, so everything here stays uint8.
"""

from __future__ import annotations

import math
import os
import threading
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, overload

import numpy as np
from pydantic import Field, model_validator

from wsss.io.masks import IGNORE
from wsss.validation import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

Strength = Annotated[float, Field(ge=0, le=1)]
Colour = tuple[
    Annotated[int, Field(ge=0, le=255)], Annotated[int, Field(ge=0, le=255)], Annotated[int, Field(ge=0, le=255)]
]

IMAGENET_MEAN = (124, 116, 104)
"""Mean colour of ImageNet, 8 bits: about zero after normalisation."""


class ColourJitter(Settings):
    """Random brightness, contrast, saturation and hue, in random order."""

    probability: Strength = Field(0.8, description="Share of images that are changed.")
    brightness: Strength = Field(0.3, description="Factor drawn from 1 ± this.")
    contrast: Strength = Field(0.3, description="Factor drawn from 1 ± this.")
    saturation: Strength = Field(0.3, description="Factor drawn from 1 ± this.")
    hue: float = Field(0.05, ge=0, le=0.5, description="Shift drawn from ± this share of the colour circle.")


class _Augmentation(Settings):
    size: int = Field(224, ge=16, le=4096, description="Side length of the square crop in pixels.")
    flip: Strength = Field(0.5, description="Probability of a horizontal flip.")
    colour: ColourJitter | None = Field(ColourJitter.model_validate({}), description="Colour jitter, or null for none.")
    fill: Colour = Field(IMAGENET_MEAN, description="Colour of what a crop has beyond the image.")


class ClassificationAugmentation(_Augmentation):
    """Training augmentation for image-level labels.

    ``resized_crop`` cuts a random part of the image and resizes it to the crop (Szegedy et al., 2015). ``scale_crop``
    resizes the image so that its longer side has a random length, and cuts a crop out of it, padded where the image
    is smaller: usual for CAM classifiers (Ahn et al., 2019), since it keeps the shape of objects.
    """

    method: Literal["resized_crop", "scale_crop"] = Field("resized_crop", description="How a crop is taken.")
    area: tuple[float, float] = Field((0.4, 1.0), description="resized_crop: share of the image's area, low and high.")
    aspect: tuple[float, float] = Field((0.75, 1.3333), description="resized_crop: width / height, low and high.")
    longer_side: tuple[int, int] = Field((224, 448), description="scale_crop: length in pixels, low and high.")

    @model_validator(mode="after")
    def _ranges(self) -> ClassificationAugmentation:
        _check_range("area", self.area, 0, 1)
        _check_range("aspect", self.aspect, 0, 100)
        _check_range("longer_side", self.longer_side, 0, 8192)
        return self


class SegmentationAugmentation(_Augmentation):
    """Training augmentation for masks: random scale, crop (padded: mean colour, 255 in the mask), flip, colours."""

    size: int = Field(320, ge=16, le=4096, description="Side length of the square crop in pixels.")
    scale: tuple[float, float] = Field((0.5, 2.0), description="Factor on the image's size, low and high.")

    @model_validator(mode="after")
    def _ranges(self) -> SegmentationAugmentation:
        _check_range("scale", self.scale, 0, 16)
        return self


class Fit(Settings):
    """Evaluation: the whole image resized to fit a square, and padded; nothing is random."""

    size: int = Field(320, ge=16, le=4096, description="Side length of the square in pixels.")
    fill: Colour = Field(IMAGENET_MEAN, description="Colour of the padding; the mask's is 255.")


class Transform:
    """A transform of an image, or of an image and its mask.

    Args:
        settings: which transform: `ClassificationAugmentation`, `SegmentationAugmentation` or `Fit`.
    """

    def __init__(self, settings: ClassificationAugmentation | SegmentationAugmentation | Fit) -> None:
        self.settings = settings

    @overload
    def __call__(self, image: Pixels, mask: None = None, *, seed: int) -> Pixels: ...
    @overload
    def __call__(self, image: Pixels, mask: Pixels, *, seed: int) -> tuple[Pixels, Pixels]: ...

    def __call__(self, image: Pixels, mask: Pixels | None = None, *, seed: int) -> Pixels | tuple[Pixels, Pixels]:
        """Transform one image.

        Args:
            image: ``(H, W, 3)`` uint8 RGB.
            mask: ``(H, W)`` uint8; never interpolated, 255 where the result has no pixel of it.
            seed: ≥ 0; decides everything random.

        Returns:
            The image ``(size, size, 3)`` uint8, with a mask both it and ``(size, size)`` uint8.
        """
        if mask is not None and mask.shape != image.shape[:2]:
            raise ValueError(f"mask {mask.shape} and image {image.shape[:2]} differ in size")
        if isinstance(self.settings, SegmentationAugmentation):
            image, mask = _at_least(image, mask, math.ceil(1 / self.settings.scale[0]))
        pipeline = _pipeline(self.settings)
        pipeline.set_random_seed(seed)
        if mask is None:
            return np.ascontiguousarray(pipeline(image=image)["image"])
        result = pipeline(image=image, mask=mask)
        return np.ascontiguousarray(result["image"]), np.ascontiguousarray(result["mask"])


def resize(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize ``(H, W, 3)`` uint8 to ``size`` = (height, width): by area when it shrinks, else bilinear."""
    cv2 = _cv2()
    height, width = size
    shrinks = height * width < image.shape[0] * image.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), dtype=np.uint8)


def scaled(image: Pixels, factor: float) -> Pixels:
    """Resize ``(H, W, 3)`` uint8 by ``factor``, for multi-scale inference; sides are rounded, at least 1 pixel."""
    height, width = image.shape[:2]
    size = max(1, round(height * factor)), max(1, round(width * factor))
    return image if size == (height, width) else resize(image, size)


_of_thread = threading.local()


def _pipeline(settings: Settings) -> Any:
    """Return this thread's own pipeline: seeding one changes it, so no two threads may share it."""
    pipelines: dict[Settings, Any] = _of_thread.__dict__.setdefault("pipelines", {})
    if settings not in pipelines:
        pipelines[settings] = _albumentations().Compose(_steps(settings), seed=0)
    return pipelines[settings]


def _steps(settings: Settings) -> list[Any]:
    """Return the steps of a pipeline; colours come last, when there are fewest pixels."""
    albumentations = _albumentations()
    if isinstance(settings, Fit):
        return [
            albumentations.LongestMaxSize(settings.size, area_for_downscale="image"),
            _pad(settings.size, settings.fill),
        ]
    if isinstance(settings, ClassificationAugmentation):
        steps = _classification_crop(settings)
    elif isinstance(settings, SegmentationAugmentation):
        low, high = settings.scale
        steps = [
            albumentations.RandomScale((low - 1, high - 1), area_for_downscale="image", p=1.0),  # takes factor − 1
            _pad(settings.size, settings.fill, position="random"),
            albumentations.RandomCrop(settings.size, settings.size),
        ]
    else:
        raise TypeError(f"no transform is known for {type(settings).__name__}")
    steps.append(albumentations.HorizontalFlip(p=settings.flip))
    if settings.colour is not None:
        steps.append(
            albumentations.ColorJitter(
                brightness=settings.colour.brightness,
                contrast=settings.colour.contrast,
                saturation=settings.colour.saturation,
                hue=settings.colour.hue,
                p=settings.colour.probability,
            )
        )
    return steps


def _classification_crop(settings: ClassificationAugmentation) -> list[Any]:
    albumentations = _albumentations()
    if settings.method == "resized_crop":
        square = (settings.size, settings.size)
        return [
            albumentations.RandomResizedCrop(
                square, scale=settings.area, ratio=settings.aspect, area_for_downscale="image"
            )
        ]
    low, high = settings.longer_side
    return [
        albumentations.LongestMaxSize(list(range(low, high + 1)), area_for_downscale="image"),
        _pad(settings.size, settings.fill, position="random"),
        albumentations.RandomCrop(settings.size, settings.size),
    ]


def _at_least(image: Pixels, mask: Pixels | None, side: int) -> tuple[Pixels, Pixels | None]:
    """Widen images of a few pixels, of which scaling down would leave none."""
    height, width = image.shape[:2]
    if min(height, width) >= side:
        return image, mask
    size, nearest = (max(width, side), max(height, side)), _cv2().INTER_NEAREST
    wide = mask if mask is None else _cv2().resize(mask, size, interpolation=nearest)
    return _cv2().resize(image, size, interpolation=nearest), wide


def _pad(size: int, fill: Colour, position: str = "center") -> Any:
    return _albumentations().PadIfNeeded(
        size, size, position=position, border_mode=_cv2().BORDER_CONSTANT, fill=fill, fill_mask=IGNORE
    )


@cache
def _albumentations() -> Any:
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else its import asks the network for a newer version
    import albumentations

    return albumentations


@cache
def _cv2() -> Any:
    import cv2

    cv2.setNumThreads(0)  # images are worked on in parallel already, and OpenCV's threads don't survive a fork
    return cv2


def _check_range(name: str, pair: tuple[float, float], least: float, most: float) -> None:
    if not least < pair[0] <= pair[1] <= most:
        raise ValueError(f"{name} is low and high, with {least} < low ≤ high ≤ {most}")
