"""Betti matching loss (Stucki et al., ICML 2023): matched features should agree, unmatched ones should vanish.

The matching names the pixel of every birth and death (`wsss.topology`), and the loss is a sum of squares of their
probabilities. So its gradient is known without torch, and is zero elsewhere: a step costs little more than matching.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from wsss.io.masks import IGNORE
from wsss.losses.base import nothing
from wsss.losses.config import BettiMatchingConfig
from wsss.losses.term import LossWithTerm, foreground
from wsss.topology import BettiMatching, DimensionMatching, betti_matching_batch


class BettiMatchingLoss(LossWithTerm):
    """``base_weight · base + alpha · mean over images and classes of BM(p, g)``.

    ``BM = Σ_k w_k (2 Σ_matched [(b − b')² + (d − d')²] + Σ_unmatched (b − d)²)`` over dimensions k = 0, 1 with births b
    and deaths d of the prediction and b', d' of the label; unmatched ones of both. The probabilities of each class but
    the background are matched with where the label is that class. Pixels of unknown class are background in both.

    ``essential: omit`` is the formula of Betti-Matching-3D; ``match`` adds 2 (max p − max g)², as Betti-matching does.
    The authors train with Dice + ½ BM and ``frame: own-max``; ``bothlevel`` adds the losses of both filtrations.

    With ``crop``, windows of that side are matched instead of the whole image, ``stride`` apart, and their sum is
    scaled by the image's area over theirs. Small windows cost less and see only what is wrong inside them; a stride
    beyond the side leaves pixels out.

    NaN or infinite logits give NaN.
    """

    def __init__(self, config: BettiMatchingConfig | None = None) -> None:
        self.config = config or BettiMatchingConfig()
        super().__init__(self.config)

    def term(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the mean Betti matching loss; see `LossWithTerm.term`."""
        pairs = _pairs(logits.detach(), target, self.config)
        if pairs is None:
            return nothing(logits) * math.nan
        if not pairs.places:
            return nothing(logits)
        value: Tensor = _BettiMatching.apply(logits, pairs, self.config)
        return value


@dataclass(frozen=True)
class _Place:
    """Where a window lies: image of the batch, class, row and column of its first pixel."""

    image: int
    channel: int
    top: int
    left: int


@dataclass(frozen=True)
class _Pairs:
    """Windows to match, and the factor that makes the sum of their losses a mean."""

    places: list[_Place]
    predictions: list[NDArray[np.floating]]
    labels: list[NDArray[np.float32]]
    scale: float


def _pairs(logits: Tensor, target: Tensor, config: BettiMatchingConfig) -> _Pairs | None:
    """Cut out what is to be matched; ``None`` if probabilities aren't finite."""
    first = 0 if config.background else 1
    probabilities = logits.softmax(1) if config.background else foreground(logits)
    if not math.isfinite(float(probabilities.sum())):
        return None
    predictions, classes = probabilities.cpu().numpy(), target.cpu().numpy()
    complete = classes.max() < IGNORE
    if not complete:
        predictions = predictions * (classes != IGNORE)[:, None]
    height, width = classes.shape[1:]
    tops, tall = _windows(height, config)
    lefts, wide = _windows(width, config)
    found = _Pairs([], [], [], 0.0)
    counted = 0
    for image, target_of_image in enumerate(classes):
        if not complete and target_of_image.min() == IGNORE:
            continue  # an image of which nothing is known says nothing
        for channel in range(first, logits.shape[1]):
            label = (target_of_image == channel).astype(np.float32)
            if config.absent == "skip" and not label.any():
                continue
            counted += 1
            for top in tops:
                for left in lefts:
                    window = np.s_[top : top + tall, left : left + wide]
                    found.places.append(_Place(image, channel, top, left))
                    found.predictions.append(predictions[image, channel - first][window])
                    found.labels.append(label[window])
    scale = height * width / (len(tops) * len(lefts) * tall * wide * max(1, counted))
    return _Pairs(found.places, found.predictions, found.labels, scale)


def _windows(length: int, config: BettiMatchingConfig) -> tuple[list[int], int]:
    """Return where windows begin along one side, and their length; the last one ends at the border."""
    if config.crop is None or config.crop >= length:
        return [0], length
    stride = config.stride or config.crop
    last = length - config.crop
    starts = list(range(0, last + 1, stride))
    if starts[-1] != last and stride <= config.crop:  # windows that leave gaps anyhow needn't reach the border
        starts.append(last)
    return starts, config.crop


class _BettiMatching(torch.autograd.Function):
    """The mean loss of pairs as a function of the logits they were cut from. It has a first derivative only."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, pairs: _Pairs, config: BettiMatchingConfig) -> Tensor:
        """Match, and keep the gradient by the few logits that it isn't zero for."""
        loss = 0.0
        slopes: list[_Slopes] = []
        for filtration in ("superlevel", "sublevel") if config.filtration == "bothlevel" else (config.filtration,):
            matchings = betti_matching_batch(
                pairs.predictions,
                pairs.labels,
                threads=config.threads,
                filtration=filtration,
                frame=config.frame,
                essential=config.essential,
            )
            for place, matching in zip(pairs.places, matchings, strict=True):
                for weight, part in zip(config.dimension_weights, (matching.dim0, matching.dim1), strict=True):
                    if weight:
                        loss += weight * part.loss()
                        slopes.append(_slopes(place, matching, part, weight, logits.shape[3]))
        ctx.like = logits.new_empty(0)
        ctx.shape = logits.shape
        ctx.where, ctx.values = _by_logits(logits, slopes)
        ctx.scale = pairs.scale
        return logits.new_tensor(loss * pairs.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        """Add up the gradient by the logits."""
        gradient = ctx.like.new_zeros(ctx.shape)
        where, values = torch.from_numpy(ctx.where), torch.from_numpy(ctx.values)
        values = values.to(gradient) * (upstream * ctx.scale)
        gradient.view(-1).index_add_(0, where.to(gradient.device), values)
        return gradient, None, None


@dataclass(frozen=True)
class _Slopes:
    """Derivatives of the sum of all losses by the probabilities of one class at ``n`` pixels of one image.

    Args:
        image: which of the batch.
        channel: the class.
        pixels: ``(n,)`` int64 among ``H · W``; one may occur several times.
        probabilities: ``(n,)`` of this class there.
        values: ``(n,)`` the derivatives; those of a pixel that occurs several times have to be added up.
    """

    image: int
    channel: int
    pixels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    values: NDArray[np.float64]


def _slopes(place: _Place, matching: BettiMatching, part: DimensionMatching, weight: float, width: int) -> _Slopes:
    """Differentiate ``weight · part.loss()`` by the prediction's values.

    Args:
        place: of the window that was matched.
        matching: of which ``part`` is a dimension.
        part: the dimension.
        weight: of the dimension.
        width: of the image.
    """
    kept, lost = part.matched_pred, part.unmatched_pred
    length = lost.births - lost.deaths
    cells = np.concatenate([kept.birth_cells, kept.death_cells, lost.birth_cells, lost.death_cells])
    probabilities = np.concatenate([kept.births, kept.deaths, lost.births, lost.deaths])
    births, deaths = kept.births - part.matched_gt.births, kept.deaths - part.matched_gt.deaths
    values = np.concatenate([4 * weight * births, 4 * weight * deaths, 2 * weight * length, -2 * weight * length])
    if len(cells) and cells.min() < 0:  # values of no pixel: on a frame of zeros, deaths of essential classes
        real = cells >= 0
        cells, probabilities, values = cells[real], probabilities[real], values[real]
    columns = matching.pred.essential.columns
    if columns != width:
        cells = cells // columns * width + cells % columns
    return _Slopes(place.image, place.channel, cells + (place.top * width + place.left), probabilities, values)


def _by_logits(logits: Tensor, slopes: Sequence[_Slopes]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Go on from probabilities to logits: ``∂p_c / ∂x_k = p_c (δ_ck − p_k)``.

    Returns:
        Indices into the flattened logits, and the derivatives there, to be added up.
    """
    channels, size = logits.shape[1], logits.shape[2] * logits.shape[3]
    where, values = [np.zeros(0, np.int64)], [np.zeros(0)]
    for part in slopes:
        own = part.values * part.probabilities
        start = part.image * channels * size + part.pixels
        if channels == 2:
            value = own * (1 - part.probabilities)
            where += [start + part.channel * size, start + (1 - part.channel) * size]
            values += [value, -value]
            continue
        at = torch.from_numpy(part.pixels).to(logits.device)
        others = logits[part.image].flatten(1)[:, at].softmax(0).cpu().numpy()
        for k in range(channels):
            where.append(start + k * size)
            values.append(own * ((k == part.channel) - others[k]))
    return np.concatenate(where), np.concatenate(values)
