"""Background policies: thresholds that separate object and background in class activation maps, without pixel labels.

A policy turns the maps of an image into *seeds*: class scores, and an upper and a lower background score. A pixel
belongs to the class with the highest score if that exceeds the background score. Pixels that are foreground with the
upper background score are confident foreground, pixels that are background with the lower one are confident background,
and all others are uncertain (255). If both scores are equal, no pixel is uncertain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from wsss.io.rasters.cams import best_class
from wsss.io.rasters.label_masks import IGNORE
from wsss.validation import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from wsss.io.rasters.cams import Cams

    Floats = NDArray[np.float32]
    Background = float | Floats
    """A background score for all pixels, or ``(H, W)``."""

BINS = 256

BAND = 256
"""Number of rows of a map processed at a time, which limits memory."""


class _Policy(Settings):
    """Base of all policies: class scores are the maps themselves."""

    def score(self, cam: Floats, index: int, thresholds: Mapping[int, float] | None) -> Floats:
        """Return the class scores ``(H, W)`` of the map of class ``index``; for ``thresholds`` see `make_seeds`."""
        return cam


class Fixed(_Policy):
    """Two thresholds on the map, as in IRN (Ahn et al., CVPR 2019), whose defaults are 0.30 and 0.05."""

    name: Literal["fixed"]
    foreground: float = Field(default=0.30, ge=0, le=1, description="pixels above this value are foreground")
    background: float = Field(default=0.05, ge=0, le=1, description="pixels below this value are background")

    @model_validator(mode="after")
    def _in_order(self) -> Fixed:
        if self.background > self.foreground:
            raise ValueError(f"expected background ≤ foreground, got {self.background} > {self.foreground}")
        return self

    @property
    def summary(self) -> str:
        """Short description, for the provenance of scores."""
        pair = self.foreground != self.background
        return f"fixed {self.foreground:g}/{self.background:g}" if pair else f"fixed {self.foreground:g}"

    def backgrounds(self, highest: Floats) -> tuple[Background, Background]:
        """Return the upper and the lower background score, from the highest class score ``(H, W)``."""
        return self.foreground, self.background


class Power(_Policy):
    """Background score (1 − max over classes)^α, as in PSA (Ahn & Kwak, CVPR 2018), whose α are 4 and 32."""

    name: Literal["power"]
    alpha: float = Field(default=4.0, gt=0, description="exponent α of the upper background score")
    alpha_certain: float | None = Field(
        default=None,
        gt=0,
        description="exponent α of the lower background score, at least alpha; null: no uncertain pixels",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Power:
        if self.alpha_certain is not None and self.alpha_certain < self.alpha:
            raise ValueError(f"expected alpha_certain ≥ alpha, got {self.alpha_certain} < {self.alpha}")
        return self

    @property
    def summary(self) -> str:
        """Short description, for the provenance of scores."""
        return f"power {self.alpha:g}" + (f"/{self.alpha_certain:g}" if self.alpha_certain else "")

    def backgrounds(self, highest: Floats) -> tuple[Background, Background]:
        """Return the upper and the lower background score ``(H, W)``, from the highest class score ``(H, W)``."""
        rest = 1.0 - highest
        upper = (rest**self.alpha).astype(np.float32, copy=False)
        if self.alpha_certain is None:
            return upper, upper
        return upper, (rest**self.alpha_certain).astype(np.float32, copy=False)


class Adaptive(_Policy):
    """A threshold per class from the histogram of its map values.

    ``otsu`` maximises the variance between the two parts (Otsu, IEEE Trans. SMC 1979); it assumes parts of similar
    size, and is too high for small objects and peaked maps. ``li`` minimises the cross entropy between map and mask
    (Li & Tam, Pattern Recognition Letters 1998), and is too low for flat maps. ``otsu_li`` is the mean of the two.

    With ``scope: image`` each map has its own threshold, with ``dataset`` each class has one for all its maps. Maps are
    rescaled so that the threshold becomes ½, where ``margin`` applies.
    """

    name: Literal["otsu", "li", "otsu_li"]
    scope: Literal["image", "dataset"] = Field(
        default="dataset", description="one threshold per map (image), or per class (dataset)"
    )
    scale: float = Field(default=1.0, gt=0, description="factor on the threshold")
    margin: float = Field(
        default=0.0, ge=0, lt=1, description="width of the band of uncertain pixels around the rescaled threshold ½"
    )

    @property
    def summary(self) -> str:
        """Short description, for the provenance of scores."""
        extra = (f" ×{self.scale:g}" if self.scale != 1 else "") + (f" ±{self.margin:g}" if self.margin else "")
        return f"{self.name.replace('_', '+')} per {'map' if self.scope == 'image' else 'class'}{extra}"

    def score(self, cam: Floats, index: int, thresholds: Mapping[int, float] | None) -> Floats:
        """Return the map ``(H, W)``, rescaled so that the threshold of its class, or else its own, becomes ½."""
        threshold = thresholds[index] if thresholds else adaptive_threshold(self, threshold_histogram(cam))
        return _rescale(cam, self.scale * threshold)

    def backgrounds(self, highest: Floats) -> tuple[Background, Background]:
        """Return the upper and the lower background score."""
        return 0.5 + self.margin / 2, 0.5 - self.margin / 2


Policy = Annotated[Fixed | Power | Adaptive, Field(discriminator="name")]


@dataclass(frozen=True)
class Seeds:
    """Class scores and background scores of an image.

    Args:
        classes: indices (≥ 1) of the K' classes.
        maps: ``(K', H, W)`` float32 class scores in [0, 1].
        upper: ``(H, W)`` float32 upper background score in [0, 1].
        lower: ``(H, W)`` float32 lower background score, at most ``upper``.
    """

    classes: tuple[int, ...]
    maps: Floats
    upper: Floats
    lower: Floats

    @property
    def certain(self) -> bool:
        """Whether no pixel is uncertain, because both background scores are equal."""
        return bool(np.array_equal(self.upper, self.lower))


def threshold_histogram(values: Floats) -> NDArray[np.int64]:
    """Return the histogram of map values in [0, 1] with 256 bins."""
    return np.histogram(values, bins=BINS, range=(0.0, 1.0))[0].astype(np.int64)


def otsu_threshold(histogram: NDArray[np.int64]) -> float:
    """Return Otsu's threshold in [0, 1] of a histogram from `threshold_histogram`; ½ if all values are in one bin."""
    from skimage.filters import threshold_otsu

    if np.count_nonzero(histogram) < 2:
        return 0.5
    centres = (np.arange(BINS) + 0.5) / BINS
    # scikit-image returns the centre of the last bin below the threshold; its upper edge separates the parts.
    return float(threshold_otsu(hist=(histogram, centres))) + 0.5 / BINS


def li_threshold(histogram: NDArray[np.int64]) -> float:
    """Return Li's threshold in [0, 1] of a histogram from `threshold_histogram`; ½ if all values are in one bin.

    One-point iteration of Li & Tam (1998), starting at the mean: ``t ← (μ_high − μ_low) / (ln μ_high − ln μ_low)``.
    scikit-image's implementation needs all map values in memory, this one only their histogram.
    """
    if np.count_nonzero(histogram) < 2:
        return 0.5
    centres = (np.arange(BINS) + 0.5) / BINS
    new, threshold = float(np.average(centres, weights=histogram)), -1.0
    while abs(new - threshold) > 0.01 / BINS:
        threshold = new
        above = centres > threshold
        low = np.average(centres[~above], weights=histogram[~above])
        high = np.average(centres[above], weights=histogram[above])
        new = float((high - low) / (np.log(high) - np.log(low)))
    return new


def adaptive_threshold(policy: Adaptive, histogram: NDArray[np.int64]) -> float:
    """Return the threshold in [0, 1] of a histogram from `threshold_histogram` by the criterion of a policy."""
    criteria = {"otsu": [otsu_threshold], "li": [li_threshold], "otsu_li": [otsu_threshold, li_threshold]}[policy.name]
    return sum(criterion(histogram) for criterion in criteria) / len(criteria)


def make_seeds(
    policy: Policy, maps: Floats, classes: Sequence[int], thresholds: Mapping[int, float] | None = None
) -> Seeds:
    """Apply a policy to one image.

    Args:
        maps: ``(K', H, W)`` float32 in [0, 1].
        classes: the K' class indices (≥ 1).
        thresholds: class index → threshold, for `Adaptive` over the dataset.
    """
    shape = maps.shape[1:]
    classes = tuple(int(index) for index in classes)
    scores = np.asarray([*_scores(policy, maps, classes, thresholds)], np.float32) if len(maps) else maps
    highest = maps.max(0) if len(maps) else np.zeros(shape, np.float32)
    upper, lower = (np.full(shape, value, np.float32) for value in policy.backgrounds(highest))
    return Seeds(classes, scores, upper, lower)


def seeds_to_mask(seeds: Seeds) -> NDArray[np.uint8]:
    """Return the ``(H, W)`` mask of class indices, 255 for uncertain pixels."""
    return _mask(*best_class(seeds.maps, seeds.classes, seeds.upper.shape), (seeds.upper, seeds.lower))


def mask_from_cams(policy: Policy, cams: Cams, thresholds: Mapping[int, float] | None = None) -> NDArray[np.uint8]:
    """Return `seeds_to_mask` of `make_seeds` at the size of the image, with the memory of a single map.

    Args:
        thresholds: see `make_seeds`.
    """
    scores = _scores(policy, cams.each_at_full_size(), cams.classes, thresholds)
    highest, best = best_class(scores, cams.classes, cams.size)
    return _mask(highest, best, policy.backgrounds(highest))


def _scores(
    policy: Policy, maps: Iterable[Floats], classes: Sequence[int], thresholds: Mapping[int, float] | None
) -> Iterator[Floats]:
    """Yield the class scores of each map."""
    for index, cam in zip(classes, maps, strict=True):
        yield policy.score(cam, index, thresholds)


def _mask(highest: Floats, best: NDArray[np.uint8], backgrounds: tuple[Background, Background]) -> NDArray[np.uint8]:
    """Return the best class where it exceeds the background scores, 255 where these disagree."""
    upper, lower = (np.where(highest > np.float32(score), best, np.uint8(0)) for score in backgrounds)
    return merge(upper, lower)


def merge(with_upper: NDArray[np.uint8], with_lower: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Merge the masks with the upper and the lower background score; 255 for uncertain pixels.

    Foreground is taken from the first, background from the second (Ahn et al., CVPR 2019, ``cam_to_ir_label``).
    """
    mask = with_upper.copy()
    mask[with_upper == 0] = IGNORE
    mask[(with_upper == 0) & (with_lower == 0)] = 0
    return mask


def _rescale(values: Floats, threshold: float) -> Floats:
    """Map [0, threshold] to [0, ½] and [threshold, 1] to [½, 1], both linearly."""
    threshold = min(max(threshold, 1e-3), 1 - 1e-3)
    rescaled = np.empty(values.shape, np.float32)
    for top in range(0, len(values), BAND):
        rows = values[top : top + BAND]
        low = rows / (2 * threshold)
        high = 0.5 + (rows - threshold) / (2 * (1 - threshold))
        rescaled[top : top + BAND] = np.where(rows < threshold, low, high)
    return rescaled
