"""Background policies: where in a class activation map the object ends. None of them looks at a pixel label.

A policy turns an image's maps into *seeds*: class scores, and a background score in two variants. A pixel belongs to
the class with the highest score, if that beats the background. With the upper background few pixels are foreground
(those are surely so), with the lower one few are background (those are surely so); pixels on which the two disagree
are uncertain and become 255. Where both are equal nothing is uncertain.
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

    _Background = float | NDArray[np.float32]

BINS = 256

BAND = 256
"""Rows of a map that are worked on at a time: what bounds the memory."""


class Fixed(Settings):
    """Two thresholds on the map, as in IRN (Ahn et al., CVPR 2019): its public defaults are .30 and .05."""

    name: Literal["fixed"]
    foreground: float = Field(default=0.30, ge=0, le=1, description="above it a pixel is surely foreground")
    background: float = Field(default=0.05, ge=0, le=1, description="below it a pixel is surely background")

    @model_validator(mode="after")
    def _in_order(self) -> Fixed:
        if self.background > self.foreground:
            raise ValueError(f"background ({self.background}) must not be above foreground ({self.foreground})")
        return self


class Power(Settings):
    """Background score (1 − max over classes)^α, as in PSA (Ahn & Kwak, CVPR 2018), whose α are 4 and 32."""

    name: Literal["power"]
    alpha: float = Field(default=4.0, gt=0, description="gives the upper background score")
    alpha_certain: float | None = Field(
        default=None, gt=0, description="a larger α gives the lower background score; left out, nothing is uncertain"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Power:
        if self.alpha_certain is not None and self.alpha_certain < self.alpha:
            raise ValueError(f"alpha_certain ({self.alpha_certain}) must not be below alpha ({self.alpha})")
        return self


class Adaptive(Settings):
    """Per class the threshold that its maps' own values suggest.

    ``otsu`` parts the values best in two (Otsu, IEEE Trans. SMC 1979); it takes both parts to be equally large, and
    lies too high where the object is small or the map peaked. ``li`` minimises the cross entropy between map and mask
    (Li & Tam, Pattern Recognition Letters 1998), and lies too low on flat maps. ``otsu_li`` is the mean of the two.

    With ``scope: image`` each map has its own threshold, with ``dataset`` each class has one, from the values of all
    its maps together. Maps are stretched so that their threshold lies at ½; the margin is measured there.
    """

    name: Literal["otsu", "li", "otsu_li"]
    scope: Literal["image", "dataset"] = Field(default="dataset", description="one threshold per map, or per class")
    scale: float = Field(default=1.0, gt=0, description="multiplies the threshold found")
    margin: float = Field(
        default=0.0, ge=0, lt=1, description="width of the uncertain band around the stretched threshold ½"
    )


Policy = Annotated[Fixed | Power | Adaptive, Field(discriminator="name")]


@dataclass(frozen=True)
class Seeds:
    """What a policy makes of an image's maps.

    Args:
        classes: indices (≥ 1) of the K' classes.
        maps: ``(K', H, W)`` float32 class scores in [0, 1].
        upper, lower: ``(H, W)`` float32 background scores in [0, 1], ``upper >= lower``.
    """

    classes: tuple[int, ...]
    maps: NDArray[np.float32]
    upper: NDArray[np.float32]
    lower: NDArray[np.float32]

    @property
    def certain(self) -> bool:
        """Whether the two backgrounds are one, so that no pixel is uncertain."""
        return bool(np.array_equal(self.upper, self.lower))


def threshold_histogram(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Count map values in [0, 1] into the 256 bins that `otsu_threshold` reads."""
    return np.histogram(values, bins=BINS, range=(0.0, 1.0))[0].astype(np.int64)


def otsu_threshold(histogram: NDArray[np.int64]) -> float:
    """Return Otsu's threshold in [0, 1] of a histogram from `threshold_histogram`; ½ if all values fall in one bin."""
    from skimage.filters import threshold_otsu

    if np.count_nonzero(histogram) < 2:
        return 0.5
    centres = (np.arange(BINS) + 0.5) / BINS
    # The bin that is found is the last one below the threshold, so that its upper edge parts the two.
    return float(threshold_otsu(hist=(histogram, centres))) + 0.5 / BINS


def li_threshold(histogram: NDArray[np.int64]) -> float:
    """Return Li's threshold in [0, 1] of a histogram from `threshold_histogram`; ½ if all values fall in one bin.

    The one-point iteration of Li & Tam (1998), from the mean: ``t ← (μ_high − μ_low) / (ln μ_high − ln μ_low)``. On the
    bins, since scikit-image wants every value of every map at once.
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
    """Return the threshold in [0, 1] that a policy's criterion finds in a histogram from `threshold_histogram`."""
    criteria = {"otsu": [otsu_threshold], "li": [li_threshold], "otsu_li": [otsu_threshold, li_threshold]}[policy.name]
    return sum(criterion(histogram) for criterion in criteria) / len(criteria)


def make_seeds(
    policy: Fixed | Power | Adaptive,
    maps: NDArray[np.float32],
    classes: Sequence[int],
    thresholds: Mapping[int, float] | None = None,
) -> Seeds:
    """Apply a policy to one image.

    Args:
        policy: the policy.
        maps: ``(K', H, W)`` float32 in [0, 1].
        classes: the K' class indices (≥ 1).
        thresholds: for `Adaptive` over the dataset: the threshold of each class.
    """
    shape = maps.shape[1:]
    classes = tuple(int(index) for index in classes)
    scores = np.asarray([*_scores(policy, maps, classes, thresholds)], np.float32) if len(maps) else maps
    highest = maps.max(0) if len(maps) else np.zeros(shape, np.float32)
    upper, lower = (_full(shape, value) for value in _backgrounds(policy, highest))
    return Seeds(classes, scores, upper, lower)


def seeds_to_mask(seeds: Seeds) -> NDArray[np.uint8]:
    """Return the ``(H, W)`` mask of class indices, 255 where the two backgrounds disagree."""
    return _mask(*best_class(seeds.maps, seeds.classes, seeds.upper.shape), (seeds.upper, seeds.lower))


def mask_from_cams(
    policy: Fixed | Power | Adaptive, cams: Cams, thresholds: Mapping[int, float] | None = None
) -> NDArray[np.uint8]:
    """Return `seeds_to_mask` of `make_seeds` at the image's size, map by map: memory doesn't grow with their number.

    Args:
        policy, thresholds: see `make_seeds`.
        cams: the maps of an image.
    """
    scores = _scores(policy, cams.each_at_full_size(), cams.classes, thresholds)
    highest, best = best_class(scores, cams.classes, cams.size)
    return _mask(highest, best, _backgrounds(policy, highest))


def _scores(
    policy: Fixed | Power | Adaptive,
    maps: Iterable[NDArray[np.float32]],
    classes: Sequence[int],
    thresholds: Mapping[int, float] | None,
) -> Iterator[NDArray[np.float32]]:
    """Yield the class scores that a policy makes of each map."""
    for index, one in zip(classes, maps, strict=True):
        if not isinstance(policy, Adaptive):
            yield one
            continue
        found = adaptive_threshold(policy, threshold_histogram(one)) if thresholds is None else thresholds[index]
        yield _stretch(one, policy.scale * found)


def _backgrounds(policy: Fixed | Power | Adaptive, highest: NDArray[np.float32]) -> tuple[_Background, _Background]:
    """Return the upper and the lower background score: numbers, or for `Power` ``(H, W)`` of the highest map."""
    if isinstance(policy, Fixed):
        return policy.foreground, policy.background
    if isinstance(policy, Adaptive):
        return 0.5 + policy.margin / 2, 0.5 - policy.margin / 2
    rest = 1.0 - highest
    upper = (rest**policy.alpha).astype(np.float32, copy=False)
    if policy.alpha_certain is None:
        return upper, upper
    return upper, (rest**policy.alpha_certain).astype(np.float32, copy=False)


def _mask(
    highest: NDArray[np.float32], best: NDArray[np.uint8], backgrounds: tuple[_Background, _Background]
) -> NDArray[np.uint8]:
    """Return class indices: the best class where it beats the background, 255 where the backgrounds disagree."""
    upper, lower = (np.where(highest > np.float32(one), best, np.uint8(0)) for one in backgrounds)
    return merge(upper, lower)


def merge(sure_foreground: NDArray[np.uint8], sure_background: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Join the labelling with the upper and the one with the lower background; 255 where neither is sure.

    Foreground is taken from the first, background from the second (Ahn et al., CVPR 2019, ``cam_to_ir_label``).
    """
    mask = sure_foreground.copy()
    mask[sure_foreground == 0] = IGNORE
    mask[(sure_foreground == 0) & (sure_background == 0)] = 0
    return mask


def describe(policy: Fixed | Power | Adaptive) -> str:
    """Return the policy in a few words, as scores carry it."""
    if isinstance(policy, Fixed):
        pair = policy.foreground != policy.background
        return f"fixed {policy.foreground:g}/{policy.background:g}" if pair else f"fixed {policy.foreground:g}"
    if isinstance(policy, Power):
        return f"power {policy.alpha:g}" + (f"/{policy.alpha_certain:g}" if policy.alpha_certain else "")
    extra = (f" ×{policy.scale:g}" if policy.scale != 1 else "") + (f" ±{policy.margin:g}" if policy.margin else "")
    return f"{policy.name.replace('_', '+')} per {'map' if policy.scope == 'image' else 'class'}{extra}"


def _full(shape: tuple[int, ...], value: _Background) -> NDArray[np.float32]:
    return np.full(shape, value, np.float32)


def _stretch(values: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
    """Map [0, threshold] to [0, ½] and [threshold, 1] to [½, 1], both linearly."""
    threshold = min(max(threshold, 1e-3), 1 - 1e-3)
    stretched = np.empty(values.shape, np.float32)
    for top in range(0, len(values), BAND):
        rows = values[top : top + BAND]
        low = rows / (2 * threshold)
        high = 0.5 + (rows - threshold) / (2 * (1 - threshold))
        stretched[top : top + BAND] = np.where(rows < threshold, low, high)
    return stretched
