"""Augmentation and evaluation transforms; the only module that knows albumentations.

A transform is a pure function of (image, mask, seed): the same seed gives the same bytes in every process and thread
and in any order of calls. Normalisation is the model's business, so images stay uint8. Instead of a mask there may be
a map of probabilities per class, which is interpolated.
"""

from __future__ import annotations

import math
import os
import threading
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, overload

import numpy as np
from pydantic import Field, model_validator

from wsss.data.intensity import (
    Blur,
    Brightness,
    Change,
    Contrast,
    Gamma,
    InvertedGamma,
    LowResolution,
    Noise,
    RandomHue,
    opencv,
)
from wsss.io.rasters.label_masks import IGNORE
from wsss.io.rasters.working_size import scaled_size
from wsss.validation import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Maps = NDArray[np.float32]

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


class Rotation(Settings):
    """Random rotation about the image's centre; the image keeps its size."""

    probability: Strength = Field(0.2, description="Share of images that are turned.")
    degrees: float = Field(180.0, ge=0, le=180, description="Angle drawn from ± this.")


class SegmentationAugmentation(_Augmentation):
    """Training augmentation for masks: random scale, crop (padded: mean colour, 255 in the mask), flip, colours.

    Rotation comes before the scale, the changes of values after the flip, in the order of the fields.
    """

    size: int = Field(320, ge=16, le=4096, description="Side length of the square crop in pixels.")
    scale: tuple[float, float] = Field((0.5, 2.0), description="Factor on the image's size, low and high.")
    scale_probability: Strength = Field(1.0, description="Share of images that are scaled.")
    rotation: Rotation | None = Field(None, description="Rotation, or null for none.")
    border: Literal["fill", "replicate"] = Field(
        "fill",
        description="What lies beyond the image: the fill colour, 255 in the mask; or the image's border, repeated.",
    )
    flip_axis: Literal["horizontal", "either"] = Field(
        "horizontal", description="Axis of a flip; either: left to right or upside down, one of them at random."
    )
    noise: Noise | None = Field(None, description="Gaussian noise, or null for none.")
    blur: Blur | None = Field(None, description="Gaussian blur.")
    brightness: Brightness | None = Field(None, description="A factor on all values.")
    contrast: Contrast | None = Field(None, description="A factor on distances from the mean.")
    low_resolution: LowResolution | None = Field(None, description="Down- and upscaling.")
    gamma_inverted: InvertedGamma | None = Field(None, description="An exponent on the negative.")
    gamma: Gamma | None = Field(None, description="An exponent on the values.")
    random_hue: RandomHue | None = Field(
        None, description="One random hue for the whole image, more saturation and value; after the colour jitter."
    )

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
    @overload
    def __call__(self, image: Pixels, mask: Maps, *, seed: int) -> tuple[Pixels, Maps]: ...

    def __call__(
        self, image: Pixels, mask: Pixels | Maps | None = None, *, seed: int
    ) -> Pixels | tuple[Pixels, Pixels | Maps]:
        """Transform one image.

        Args:
            image: ``(H, W, 3)`` uint8 RGB.
            mask: ``(H, W)`` uint8; never interpolated, 255 where the result has no pixel of it. Or probabilities
                ``(H, W, C)`` float32; interpolated, all 0 where the result has none.
            seed: ≥ 0; decides everything random.

        Returns:
            The image ``(size, size, 3)`` uint8, with a mask both it and ``(size, size)`` uint8, with probabilities
            both it and ``(size, size, C)`` float32.
        """
        if mask is not None and mask.shape[:2] != image.shape[:2]:
            raise ValueError(f"mask {mask.shape} and image {image.shape[:2]} differ in size")
        if isinstance(self.settings, SegmentationAugmentation):
            image, mask = _at_least(image, mask, math.ceil(1 / self.settings.scale[0]))
        soft = mask is not None and mask.ndim == 3
        pipeline = _pipeline(self.settings, soft)
        pipeline.set_random_seed(seed)
        if mask is None:
            return np.ascontiguousarray(pipeline(image=image)["image"])
        result = pipeline(image=image, mask=mask)
        changed = np.ascontiguousarray(result["mask"])
        return np.ascontiguousarray(result["image"]), _whole(changed) if soft else changed


def resize(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize ``(H, W, 3)`` uint8 to ``size`` = (height, width): by area when it shrinks, else bilinear."""
    cv2 = opencv()
    height, width = size
    shrinks = height * width < image.shape[0] * image.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), dtype=np.uint8)


def scaled(image: Pixels, factor: float) -> Pixels:
    """Resize ``(H, W, 3)`` uint8 by ``factor``, for multi-scale inference; sides are rounded, at least 1 pixel."""
    height, width = image.shape[:2]
    size = scaled_size((height, width), factor)
    return image if size == (height, width) else resize(image, size)


_of_thread = threading.local()


def _pipeline(settings: Settings, soft: bool) -> Any:
    """Return this thread's own pipeline: seeding one changes it, so no two threads may share it."""
    pipelines: dict[tuple[Settings, bool], Any] = _of_thread.__dict__.setdefault("pipelines", {})
    if (settings, soft) not in pipelines:
        pipelines[settings, soft] = _albumentations().Compose(_steps(settings, soft), seed=0)
    return pipelines[settings, soft]


def _steps(settings: Settings, soft: bool) -> list[Any]:
    """Return the steps of a pipeline; colours come last, when there are fewest pixels.

    The same seed draws the same numbers for masks and for soft maps: their pipelines differ in interpolation alone.
    """
    albumentations = _albumentations()
    if isinstance(settings, Fit):
        return [
            albumentations.LongestMaxSize(settings.size, area_for_downscale="image"),
            _pad(settings.size, settings.fill),
        ]
    if isinstance(settings, ClassificationAugmentation):
        steps = _classification_crop(settings)
    elif isinstance(settings, SegmentationAugmentation):
        steps = _segmentation_crop(settings, soft)
    else:
        raise TypeError(f"no transform is known for {type(settings).__name__}")
    steps.append(_flip(settings))
    if isinstance(settings, SegmentationAugmentation):
        changes = (
            settings.noise,
            settings.blur,
            settings.brightness,
            settings.contrast,
            settings.low_resolution,
            settings.gamma_inverted,
            settings.gamma,
        )
        steps += [_change_class()(change) for change in changes if change is not None]
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
    if isinstance(settings, SegmentationAugmentation) and settings.random_hue is not None:
        steps.append(_change_class()(settings.random_hue))
    return steps


def _segmentation_crop(settings: SegmentationAugmentation, soft: bool) -> list[Any]:
    albumentations, cv2 = _albumentations(), opencv()
    low, high = settings.scale
    fill: dict[str, Any] = {"fill": settings.fill, "fill_mask": 0 if soft else IGNORE}
    interpolation = cv2.INTER_LINEAR if soft else cv2.INTER_NEAREST
    border = cv2.BORDER_REPLICATE if settings.border == "replicate" else cv2.BORDER_CONSTANT
    steps = [
        albumentations.RandomScale(
            (low - 1, high - 1),  # it takes factor − 1
            area_for_downscale="image",
            mask_interpolation=interpolation,
            p=settings.scale_probability,
        ),
        albumentations.PadIfNeeded(settings.size, settings.size, position="random", border_mode=border, **fill),
        albumentations.RandomCrop(settings.size, settings.size),
    ]
    if settings.rotation is None:
        return steps
    degrees, probability = settings.rotation.degrees, settings.rotation.probability
    turn = albumentations.Rotate(
        (-degrees, degrees), border_mode=border, mask_interpolation=interpolation, p=probability, **fill
    )
    return [turn, *steps]


def _flip(settings: _Augmentation) -> Any:
    albumentations = _albumentations()
    if isinstance(settings, SegmentationAugmentation) and settings.flip_axis == "either":
        axes = [albumentations.HorizontalFlip(p=1.0), albumentations.VerticalFlip(p=1.0)]
        return albumentations.OneOf(axes, p=settings.flip)
    return albumentations.HorizontalFlip(p=settings.flip)


@cache
def _change_class() -> type[Any]:
    """Return the albumentations transform of a `Change`; a class that can only be made once the library is there."""

    class Changed(_albumentations().ImageOnlyTransform):  # type: ignore[misc]
        def __init__(self, change: Change) -> None:
            super().__init__(p=change.probability)
            self.change = change

        def get_params(self) -> dict[str, Any]:
            return {"seed": self.py_random.getrandbits(64)}

        def apply(self, img: Pixels, seed: int, **params: Any) -> Pixels:
            return self.change.apply(img, np.random.default_rng(seed))

    return Changed


def _whole(maps: Maps) -> Maps:
    """Make the probabilities of each pixel sum to 1 again, or to 0 where more than half of it lies beyond the image."""
    sums = maps.sum(-1, keepdims=True)
    return np.where(sums > 0.5, maps / np.maximum(sums, 0.5), np.float32(0)).astype(np.float32)


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


def _at_least(image: Pixels, mask: Pixels | Maps | None, side: int) -> tuple[Pixels, Pixels | Maps | None]:
    """Widen images of a few pixels, of which scaling down would leave none."""
    height, width = image.shape[:2]
    if min(height, width) >= side:
        return image, mask
    size, nearest = (max(width, side), max(height, side)), opencv().INTER_NEAREST
    wide = mask if mask is None else opencv().resize(mask, size, interpolation=nearest)
    return opencv().resize(image, size, interpolation=nearest), wide


def _pad(size: int, fill: Colour, position: str = "center") -> Any:
    return _albumentations().PadIfNeeded(
        size, size, position=position, border_mode=opencv().BORDER_CONSTANT, fill=fill, fill_mask=IGNORE
    )


@cache
def _albumentations() -> Any:
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else its import asks the network for a newer version
    import albumentations

    return albumentations


def _check_range(name: str, pair: tuple[float, float], least: float, most: float) -> None:
    if not least < pair[0] <= pair[1] <= most:
        raise ValueError(f"{name} is low and high, with {least} < low ≤ high ≤ {most}")
