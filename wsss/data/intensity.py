"""Random changes of an image's values: settings, and the change itself as a function of (image, random generator).

The probabilities, ranges and order of TopoMortar's training (Valverde et al., BMVC 2025; its public configuration) can
be had with these, but for one thing: there each image is first brought to zero mean and unit variance, here values are
8-bit grey values. So noise is given in multiples of the image's own deviation.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, model_validator

from wsss.validation import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

Probability = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0, le=100)]
Factor = Annotated[float, Field(gt=0, le=100)]


class Change(Settings):
    """Base of all changes: how often, and what is done then."""

    probability: Probability = Field(0.5, description="Share of images that are changed.")

    def apply(self, image: Pixels, random: np.random.Generator) -> Pixels:
        """Return ``image`` ``(H, W, 3)`` uint8 RGB, changed; the input stays as it is."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _ranges(self) -> Change:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(f"{name} is low and high, with low ≤ high")
        return self


class Noise(Change):
    """Independent Gaussian noise on every value; its strength is drawn anew for each image."""

    std: tuple[Amount, Amount] = Field(
        (0.0, 0.1), description="Its standard deviation, low and high, in multiples of the image's (of each channel's)."
    )

    def apply(self, image: Pixels, random: np.random.Generator) -> Pixels:
        """See `Change.apply`."""
        strength = random.uniform(*self.std) * image.std((0, 1), dtype=np.float64)
        noise = random.standard_normal(image.shape, dtype=np.float32)
        return _rounded(image + noise * strength.astype(np.float32))


class Blur(Change):
    """Gaussian blur."""

    sigma: tuple[Factor, Factor] = Field((0.5, 1.0), description="Standard deviation in pixels, low and high.")

    def apply(self, image: Pixels, random: np.random.Generator) -> Pixels:
        """See `Change.apply`."""
        sigma = random.uniform(*self.sigma)
        blurred: Pixels = opencv().GaussianBlur(image, (0, 0), sigma, borderType=opencv().BORDER_REPLICATE)
        return blurred


class Brightness(Change):
    """All values times one factor."""

    factor: tuple[Amount, Amount] = Field((0.75, 1.25), description="The factor, low and high.")

    def apply(self, image: Pixels, random: np.random.Generator) -> Pixels:
        """See `Change.apply`."""
        return _rounded(image * np.float32(random.uniform(*self.factor)))


class Contrast(Change):
    """All distances from the image's mean times one factor, inside the range of values that the image had."""

    factor: tuple[Amount, Amount] = Field((0.75, 1.25), description="The factor, low and high.")

    def apply(self, image: Pixels, random: np.random.Generator) -> Pixels:
        """See `Change.apply`."""
        mean = np.float32(image.mean())
        changed = (image - mean) * np.float32(random.uniform(*self.factor)) + mean
        return _rounded(changed.clip(image.min(), image.max()))


class LowResolution(Change):
    """Scaled down (bilinear) and up again (nearest neighbour)."""

    factor: tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]] = Field(
        (0.5, 1.0), description="Factor on the image's sides, low and high."
    )

    def apply(self, image: Pixels, random: np.random.Generator) -> Pixels:
        """See `Change.apply`."""
        cv2, factor = opencv(), random.uniform(*self.factor)
        height, width = image.shape[:2]
        small = cv2.resize(
            image, (max(1, round(width * factor)), max(1, round(height * factor))), interpolation=cv2.INTER_LINEAR
        )
        coarse: Pixels = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        return coarse


class Gamma(Change):
    """``v → v^γ`` on the image's own range; mean and deviation of all its values are then set to what they were."""

    gamma: tuple[Factor, Factor] = Field((0.7, 1.5), description="The exponent γ, low and high.")

    def apply(self, image: Pixels, random: np.random.Generator) -> Pixels:
        """See `Change.apply`."""
        gamma = random.uniform(*self.gamma)
        low, high = int(image.min()), int(image.max())
        if low == high:
            return image.copy()
        levels = (np.arange(256) - low).clip(0, high - low) / (high - low)
        table = self.curve(levels, gamma)
        counts = np.bincount(image.ravel(), minlength=256)
        mean, std = _moments(np.arange(256), counts)
        new_mean, new_std = _moments(table, counts)
        return _rounded((table - new_mean) * (std / new_std) + mean)[image]

    def curve(self, levels: NDArray[Any], gamma: float) -> NDArray[Any]:
        """Return ``levels``, in [0, 1], changed by the exponent."""
        return levels**gamma


class InvertedGamma(Gamma):
    """`Gamma` on the negative, where dark values are the high ones."""

    def curve(self, levels: NDArray[Any], gamma: float) -> NDArray[Any]:
        """See `Gamma.curve`."""
        return 1 - (1 - levels) ** gamma


class RandomHue(Change):
    """One random hue for the whole image; saturation and value are raised by random amounts.

    RandHue of TopoMortar (Valverde et al., BMVC 2025), on the image's colours as they are; the public code applies it
    to the three normalised channels, rescaled together to [0, 1].
    """

    saturation: Probability = Field(0.5, description="Saturation (0 … 1) is raised by up to this.")
    value: Probability = Field(0.5, description="Value (0 … 1) is raised by up to this.")

    def apply(self, image: Pixels, random: np.random.Generator) -> Pixels:
        """See `Change.apply`."""
        cv2 = opencv()
        hue, more_saturation, more_value = random.uniform(0, (360, self.saturation, self.value))
        hsv = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = hue
        hsv[..., 1:] = (hsv[..., 1:] + np.array([more_saturation, more_value], np.float32)).clip(0, 1)
        return _rounded(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255)


def _moments(levels: NDArray[Any], counts: NDArray[np.int64]) -> tuple[float, float]:
    """Return mean and standard deviation of values of which level i occurs ``counts[i]`` times."""
    mean = float((levels * counts).sum() / counts.sum())
    return mean, float(np.sqrt(((levels - mean) ** 2 * counts).sum() / counts.sum()))


def _rounded(values: NDArray[Any]) -> Pixels:
    rounded: Pixels = np.rint(values).clip(0, 255).astype(np.uint8)
    return rounded


@cache
def opencv() -> Any:
    """Return OpenCV, set up for many images at a time."""
    import cv2

    cv2.setNumThreads(0)  # images are worked on in parallel already, and OpenCV's threads don't survive a fork
    return cv2
