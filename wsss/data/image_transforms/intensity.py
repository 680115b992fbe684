"""Random intensity changes: settings, and functions of (image, random generator).

They reproduce the probabilities, ranges and order of TopoMortar's training (Valverde et al., BMVC 2025; public
configuration), with one difference: TopoMortar normalises each image to zero mean and unit variance first, whereas
values here are 8-bit. Noise is therefore relative to the standard deviation of the image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, model_validator

from wsss.data.image_transforms.resizing import opencv
from wsss.io.rasters.working_size import scaled_size
from wsss.validation import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

Probability = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0, le=100)]
Factor = Annotated[float, Field(gt=0, le=100)]


class Change(Settings):
    """Base of all intensity changes."""

    probability: Probability = Field(0.5, description="Fraction of images that are changed.")

    def apply(self, image: Pixels, random: np.random.Generator) -> Pixels:
        """Return a changed copy of ``image`` ``(H, W, 3)`` uint8 RGB."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _ranges(self) -> Change:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(f"{name}: expected low and high with low ≤ high")
        return self


class Noise(Change):
    """Independent Gaussian noise on every value; its strength is drawn once per image."""

    std: tuple[Amount, Amount] = Field(
        (0.0, 0.1), description="Standard deviation, low and high, in multiples of that of each image channel."
    )

    def apply(self, image: Pixels, random: np.random.Generator) -> Pixels:
        """See base class."""
        strength = random.uniform(*self.std) * image.std((0, 1), dtype=np.float64)
        noise = random.standard_normal(image.shape, dtype=np.float32)
        return _rounded(image + noise * strength.astype(np.float32))


class Blur(Change):
    """Gaussian blur."""

    sigma: tuple[Factor, Factor] = Field((0.5, 1.0), description="Standard deviation in pixels, low and high.")

    def apply(self, image: Pixels, random: np.random.Generator) -> Pixels:
        """See base class."""
        sigma = random.uniform(*self.sigma)
        blurred: Pixels = opencv().GaussianBlur(image, (0, 0), sigma, borderType=opencv().BORDER_REPLICATE)
        return blurred


class Brightness(Change):
    """A factor on all values."""

    factor: tuple[Amount, Amount] = Field((0.75, 1.25), description="The factor, low and high.")

    def apply(self, image: Pixels, random: np.random.Generator) -> Pixels:
        """See base class."""
        return _rounded(image * np.float32(random.uniform(*self.factor)))


class Contrast(Change):
    """A factor on all deviations from the image mean, clipped to the range of the image."""

    factor: tuple[Amount, Amount] = Field((0.75, 1.25), description="The factor, low and high.")

    def apply(self, image: Pixels, random: np.random.Generator) -> Pixels:
        """See base class."""
        mean = np.float32(image.mean())
        changed = (image - mean) * np.float32(random.uniform(*self.factor)) + mean
        return _rounded(changed.clip(image.min(), image.max()))


class LowResolution(Change):
    """Downscaling (bilinear) and upscaling (nearest neighbour)."""

    factor: tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]] = Field(
        (0.5, 1.0), description="Factor on the image sides, low and high."
    )

    def apply(self, image: Pixels, random: np.random.Generator) -> Pixels:
        """See base class."""
        cv2, factor = opencv(), random.uniform(*self.factor)
        small = cv2.resize(image, scaled_size(image.shape, factor)[::-1], interpolation=cv2.INTER_LINEAR)
        coarse: Pixels = cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        return coarse


class Gamma(Change):
    """``v → v^γ`` on the range of the image; mean and standard deviation are restored."""

    gamma: tuple[Factor, Factor] = Field((0.7, 1.5), description="The exponent γ, low and high.")

    def apply(self, image: Pixels, random: np.random.Generator) -> Pixels:
        """See base class."""
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
        """Return ``levels`` in [0, 1] with the exponent applied."""
        return levels**gamma


class InvertedGamma(Gamma):
    """`Gamma` on inverted values."""

    def curve(self, levels: NDArray[Any], gamma: float) -> NDArray[Any]:
        """See base class."""
        return 1 - (1 - levels) ** gamma


class RandomHue(Change):
    """One random hue for the whole image; saturation and value are raised by random amounts.

    RandHue of TopoMortar (Valverde et al., BMVC 2025), applied to the image colours; the public code applies it to the
    normalised channels, rescaled jointly to [0, 1].
    """

    saturation: Probability = Field(0.5, description="Maximum increase of the saturation (0 … 1).")
    value: Probability = Field(0.5, description="Maximum increase of the value (0 … 1).")

    def apply(self, image: Pixels, random: np.random.Generator) -> Pixels:
        """See base class."""
        cv2 = opencv()
        hue, more_saturation, more_value = random.uniform(0, (360, self.saturation, self.value))
        hsv = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = hue
        hsv[..., 1:] = (hsv[..., 1:] + np.array([more_saturation, more_value], np.float32)).clip(0, 1)
        return _rounded(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255)


def _moments(levels: NDArray[Any], counts: NDArray[np.int64]) -> tuple[float, float]:
    """Return mean and standard deviation of values in which level i occurs ``counts[i]`` times."""
    mean = float((levels * counts).sum() / counts.sum())
    return mean, float(np.sqrt(((levels - mean) ** 2 * counts).sum() / counts.sum()))


def _rounded(values: NDArray[Any]) -> Pixels:
    rounded: Pixels = np.rint(values).clip(0, 255).astype(np.uint8)
    return rounded
