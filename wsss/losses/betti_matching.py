"""Betti matching loss (Stucki et al., ICML 2023): matched features should agree, unmatched ones should vanish.

The matching names the pixel of every birth and death (`wsss.topology`), and the loss is a sum of squares of their
probabilities. So its gradient is known without torch, and is zero elsewhere: a step costs little more than matching.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsss.io.rasters.label_masks import IGNORE
from wsss.losses.base import not_a_number, nothing
from wsss.losses.config import BettiMatchingConfig
from wsss.losses.sparse import Slopes, sparse_loss
from wsss.losses.term import LossWithTerm, foreground
from wsss.topology import LossSlopes, NotFinite, betti_matching_batch, loss_slopes


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
        pairs = _pairs(_probabilities(logits.detach(), self.config.background), target, self.config)
        if not pairs.places:
            return nothing(logits)
        try:
            loss, slopes = _match(pairs, self.config, logits.shape[3])
        except NotFinite:
            return not_a_number(logits)
        return sparse_loss(logits, loss, slopes, pairs.scale)


_kept = threading.local()


def _probabilities(logits: Tensor, background: bool) -> Tensor:
    """Return those of the classes that are matched; they may lie where this thread's last ones did.

    Fresh memory for two classes would cost as much as the work on them.
    """
    if background:
        return logits.softmax(1)
    if logits.shape[1] > 2:
        return foreground(logits)
    shape, kind, device = (len(logits), 1, *logits.shape[2:]), logits.dtype, logits.device
    room: Tensor | None = getattr(_kept, "room", None)
    if room is None or (room.shape, room.dtype, room.device) != (shape, kind, device):
        with torch.inference_mode(False):  # what inference makes can't be used in training
            room = _kept.room = torch.empty(shape, dtype=kind, device=device)
    return torch.sub(logits[:, 1:], logits[:, :1], out=room).sigmoid_()


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
    labels: list[NDArray[np.bool_]]
    scale: float


def _pairs(probabilities: Tensor, target: Tensor, config: BettiMatchingConfig) -> _Pairs:
    """Cut out what is to be matched."""
    first = 0 if config.background else 1
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
        for channel in range(first, first + predictions.shape[1]):
            label = target_of_image == channel
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


def _match(pairs: _Pairs, config: BettiMatchingConfig, width: int) -> tuple[float, list[Slopes]]:
    """Return the sum of the losses of all pairs, and its derivatives by probabilities; ``width`` is the images'."""
    loss = 0.0
    slopes: list[Slopes] = []
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
            part = loss_slopes(matching, config.dimension_weights)
            loss += part.loss
            slopes.append(_placed(part, place, matching.pred.columns, width))
    return loss, slopes


def _placed(part: LossSlopes, place: _Place, columns: int, width: int) -> Slopes:
    """Go from pixels of a window with ``columns`` to those of its image, ``width`` wide."""
    cells = part.cells if columns == width else part.cells // columns * width + part.cells % columns
    start = place.top * width + place.left
    return Slopes(place.image, place.channel, cells + start, part.values, part.slopes)
