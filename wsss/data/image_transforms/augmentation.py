"""Settings of augmentation and evaluation transforms; `wsss.data.image_transforms.transforms` applies them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from wsss.data.image_transforms.intensity import (
    Blur,
    Brightness,
    Contrast,
    Gamma,
    InvertedGamma,
    LowResolution,
    Noise,
    RandomHue,
)
from wsss.validation import Settings

Strength = Annotated[float, Field(ge=0, le=1)]
Byte = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Byte, Byte, Byte]

IMAGENET_MEAN = (124, 116, 104)
"""Mean colour of ImageNet in 8 bits: about zero after normalisation."""


class ColourJitter(Settings):
    """Random brightness, contrast, saturation and hue, in random order."""

    probability: Strength = Field(0.8, description="Fraction of images that are changed.")
    brightness: Strength = Field(0.3, description="The factor is drawn from 1 ± this value.")
    contrast: Strength = Field(0.3, description="The factor is drawn from 1 ± this value.")
    saturation: Strength = Field(0.3, description="The factor is drawn from 1 ± this value.")
    hue: float = Field(0.05, ge=0, le=0.5, description="The shift is drawn from ± this fraction of the colour circle.")


class Augmentation(Settings):
    """Settings shared by the augmentations of classification and segmentation."""

    size: int = Field(224, ge=16, le=4096, description="Side length of the square crop in pixels.")
    flip: Strength = Field(0.5, description="Probability of a horizontal flip.")
    colour: ColourJitter | None = Field(ColourJitter.model_validate({}), description="Colour jitter, or null for none.")
    fill: Colour = Field(IMAGENET_MEAN, description="Colour of the padding.")


class ClassificationAugmentation(Augmentation):
    """Training augmentation for image-level labels.

    ``resized_crop`` crops a random region and resizes it (Szegedy et al., 2015). ``scale_crop`` resizes the image to a
    random length of its longer side and takes a random crop, padded for smaller images: usual for CAM classifiers (Ahn
    et al., 2019), since it keeps the aspect ratio of objects.
    """

    method: Literal["resized_crop", "scale_crop"] = Field("resized_crop", description="Cropping method.")
    area: tuple[float, float] = Field((0.4, 1.0), description="resized_crop: fraction of the image area, low and high.")
    aspect: tuple[float, float] = Field((0.75, 1.3333), description="resized_crop: width / height, low and high.")
    longer_side: tuple[int, int] = Field((224, 448), description="scale_crop: length in pixels, low and high.")

    @model_validator(mode="after")
    def _ranges(self) -> ClassificationAugmentation:
        _check_range("area", self.area, 1)
        _check_range("aspect", self.aspect, 100)
        _check_range("longer_side", self.longer_side, 8192)
        return self


class Rotation(Settings):
    """Random rotation about the image centre; the image size does not change."""

    probability: Strength = Field(0.2, description="Fraction of images that are rotated.")
    degrees: float = Field(180.0, ge=0, le=180, description="The angle is drawn from ± this value.")


class SegmentationAugmentation(Augmentation):
    """Training augmentation for masks: random scale, padded crop, flip and colours.

    Rotation comes before the scale; intensity changes come after the flip, in the order of the fields.
    """

    size: int = Field(320, ge=16, le=4096, description="Side length of the square crop in pixels.")
    scale: tuple[float, float] = Field((0.5, 2.0), description="Factor on the image size, low and high.")
    scale_probability: Strength = Field(1.0, description="Fraction of images that are scaled.")
    rotation: Rotation | None = Field(None, description="Rotation, or null for none.")
    border: Literal["fill", "replicate"] = Field(
        "fill", description="Padding: fill = the fill colour, 255 in the mask; replicate = the border pixels, repeated."
    )
    flip_axis: Literal["horizontal", "either"] = Field(
        "horizontal", description="Axis of a flip; either: horizontal or vertical, at random."
    )
    noise: Noise | None = Field(None, description="Gaussian noise, or null for none.")
    blur: Blur | None = Field(None, description="Gaussian blur.")
    brightness: Brightness | None = Field(None, description="A factor on all values.")
    contrast: Contrast | None = Field(None, description="A factor on deviations from the mean.")
    low_resolution: LowResolution | None = Field(None, description="Down- and upscaling.")
    gamma_inverted: InvertedGamma | None = Field(None, description="An exponent on the inverted values.")
    gamma: Gamma | None = Field(None, description="An exponent on the values.")
    random_hue: RandomHue | None = Field(
        None, description="One random hue for the whole image, higher saturation and value; after the colour jitter."
    )

    @model_validator(mode="after")
    def _ranges(self) -> SegmentationAugmentation:
        _check_range("scale", self.scale, 16)
        return self


class Fit(Settings):
    """Evaluation transform: the whole image is resized to fit a square, and padded; deterministic."""

    size: int = Field(320, ge=16, le=4096, description="Side length of the square in pixels.")
    fill: Colour = Field(IMAGENET_MEAN, description="Colour of the padding; 255 in the mask.")


def _check_range(name: str, pair: tuple[float, float], maximum: float) -> None:
    if not 0 < pair[0] <= pair[1] <= maximum:
        raise ValueError(f"{name}: expected low and high with 0 < low ≤ high ≤ {maximum}")
