"""Betti matching loss (Stucki et al., ICML 2023): matched features should agree, unmatched features should vanish.

The matching gives the pixel of every birth and death (`wsss.topology`), and the loss is a sum of squares of their
probabilities. Its gradient is therefore computed without torch and is zero at all other pixels.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsss.io.rasters.label_masks import IGNORE
from wsss.losses.base import nan_loss, zero_loss
from wsss.losses.config import BettiMatchingConfig
from wsss.losses.targets import has_ignored
from wsss.losses.term import LossWithTerm, foreground
from wsss.losses.topological.host_copy import class_copy, host_copy
from wsss.losses.topological.sparse import ChannelGradient, sparse_loss
from wsss.losses.topological.thread_share import thread_count
from wsss.topology import LossGradient, NotFinite, betti_matching_batch, loss_gradient


class BettiMatchingLoss(LossWithTerm):
    """``base_weight · base + alpha · mean over images and classes of BM(p, g)``.

    ``BM = Σ_k w_k (2 Σ_matched [(b − b')² + (d − d')²] + Σ_unmatched (b − d)²)`` over dimensions k = 0, 1, with births
    b and deaths d of the prediction and b', d' of the label; the last sum runs over unmatched features of both. The
    probabilities of each class except the background are matched with the mask of that class. Ignored pixels are
    background in both.

    ``essential="omit"`` is the formula of Betti-Matching-3D; ``"match"`` adds 2 (max p − max g)² like Betti-matching.
    The authors train with Dice + ½ BM and ``frame="own-max"``; ``filtration="bothlevel"`` adds the losses of both
    filtrations.

    With ``crop``, windows of that side, ``stride`` apart, are matched instead of the whole image. Their sum is
    multiplied by the ratio of the image's area to theirs. A stride larger than the side skips pixels.

    NaN or infinite logits give NaN.

    ``active_from`` requires a call of `begin_step` before each training step; otherwise the term is active from the
    first call of the loss.

    Example:
        >>> import torch
        >>> from wsss.losses import BettiMatchingLoss
        >>> loss = BettiMatchingLoss(alpha=0.5, filtration="superlevel")
        >>> logits = torch.randn(2, 1, 32, 32, requires_grad=True)
        >>> loss(logits, torch.randint(0, 2, (2, 32, 32))).backward()
        >>> logits.grad.abs().sum().item() > 0
        True
    """

    on_processor = True
    traceable = False
    config_type = BettiMatchingConfig
    config: BettiMatchingConfig

    def term(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the mean Betti matching loss; see `LossWithTerm.term`."""
        return self.begin_term(logits, target)()

    def begin_term(self, logits: Tensor, target: Tensor) -> Callable[[], Tensor]:
        """See `LossWithTerm.begin_term`."""
        complete = not has_ignored(target)
        predictions, classes = host_copy(_probabilities(logits.detach(), self.config.background)), class_copy(target)

        def compute() -> Tensor:
            pairs = _pairs(predictions(), classes(), self.config, complete=complete)
            if not pairs.windows:
                return zero_loss(logits)
            try:
                loss, gradients = _match(pairs, self.config, logits.shape[3])
            except NotFinite:
                return nan_loss(logits)
            return sparse_loss(logits, loss, gradients, pairs.scale)

        return compute


_buffers = threading.local()


def _probabilities(logits: Tensor, background: bool) -> Tensor:
    """Return the probabilities of the matched classes; of two classes in a buffer that the thread reuses.

    Allocating memory for two classes would take as long as computing them.
    """
    if background:
        return logits.softmax(1)
    if logits.shape[1] > 2:
        return foreground(logits)
    shape, kind, device = (len(logits), 1, *logits.shape[2:]), logits.dtype, logits.device
    buffer: Tensor | None = getattr(_buffers, "buffer", None)
    if buffer is None or (buffer.shape, buffer.dtype, buffer.device) != (shape, kind, device):
        with torch.inference_mode(False):  # tensors made in inference mode cannot be used in training
            buffer = _buffers.buffer = torch.empty(shape, dtype=kind, device=device)
    return torch.sub(logits[:, 1:], logits[:, :1], out=buffer).sigmoid_()


@dataclass(frozen=True)
class _Window:
    """Index of the image, class, and first row and column of a window."""

    image: int
    channel: int
    top: int
    left: int


@dataclass(frozen=True)
class _Pairs:
    """Windows to match, and the factor that makes the sum of their losses a mean."""

    windows: list[_Window]
    predictions: list[NDArray[np.floating]]
    labels: list[NDArray[np.bool_]]
    scale: float


def _pairs(
    predictions: NDArray[np.floating], classes: NDArray[np.integer], config: BettiMatchingConfig, *, complete: bool
) -> _Pairs:
    """Cut out the windows to match, of images with a labelled pixel; ``complete``: no pixel is ignored."""
    first = 0 if config.background else 1
    if not complete:
        predictions = predictions * (classes != IGNORE)[:, None]
    height, width = classes.shape[1:]
    tops, tall = _starts(height, config)
    lefts, wide = _starts(width, config)
    pairs = _Pairs([], [], [], 0.0)
    masks = 0
    for image, indices in enumerate(classes):
        if not complete and indices.min() == IGNORE:
            continue
        for channel in range(first, first + predictions.shape[1]):
            label = indices == channel
            if config.absent == "skip" and not label.any():
                continue
            masks += 1
            for top in tops:
                for left in lefts:
                    cut = np.s_[top : top + tall, left : left + wide]
                    pairs.windows.append(_Window(image, channel, top, left))
                    pairs.predictions.append(predictions[image, channel - first][cut])
                    pairs.labels.append(label[cut])
    scale = height * width / (len(tops) * len(lefts) * tall * wide * max(1, masks))
    return _Pairs(pairs.windows, pairs.predictions, pairs.labels, scale)


def _starts(length: int, config: BettiMatchingConfig) -> tuple[list[int], int]:
    """Return the first pixels of the windows along one side, and their length; the last window ends at the border."""
    if config.crop is None or config.crop >= length:
        return [0], length
    stride = config.stride or config.crop
    last = length - config.crop
    starts = list(range(0, last + 1, stride))
    if starts[-1] != last and stride <= config.crop:  # larger strides leave gaps anyway
        starts.append(last)
    return starts, config.crop


def _match(pairs: _Pairs, config: BettiMatchingConfig, width: int) -> tuple[float, list[ChannelGradient]]:
    """Return the sum of the losses of all pairs, and its derivatives; ``width`` is that of the images."""
    loss = 0.0
    gradients: list[ChannelGradient] = []
    for filtration in ("superlevel", "sublevel") if config.filtration == "bothlevel" else (config.filtration,):
        matchings = betti_matching_batch(
            pairs.predictions,
            pairs.labels,
            threads=thread_count(config.threads),
            filtration=filtration,
            frame=config.frame,
            essential=config.essential,
        )
        for window, matching in zip(pairs.windows, matchings, strict=True):
            part = loss_gradient(matching, config.dimension_weights)
            loss += part.loss
            gradients.append(_in_image(part, window, matching.pred.columns, width))
    return loss, gradients


def _in_image(part: LossGradient, window: _Window, columns: int, width: int) -> ChannelGradient:
    """Convert pixel indices of a window with ``columns`` to those of its image of width ``width``."""
    indices = part.indices if columns == width else part.indices // columns * width + part.indices % columns
    start = window.top * width + window.left
    return ChannelGradient(window.image, window.channel, indices + start, part.values, part.gradient)
