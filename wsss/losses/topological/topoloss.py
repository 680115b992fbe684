"""TopoLoss (Hu et al., NeurIPS 2019): the persistence diagram of the prediction should match that of the label."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wsss.io.rasters.label_masks import IGNORE
from wsss.losses.base import nan_loss
from wsss.losses.config import TopoLossConfig
from wsss.losses.term import LossWithTerm, foreground
from wsss.losses.topological.host_copy import class_copy, host_copy
from wsss.losses.topological.sparse import ChannelGradient, sparse_loss
from wsss.losses.topological.thread_share import thread_count
from wsss.topology import Intervals, NotFinite, barcode
from wsss.topology.threads import in_threads


class TopoLoss(LossWithTerm):
    """``base_weight · base + alpha · mean over pixels and classes of the sum over patches of T(p, g)``.

    ``T = Σ_k w_k (Σ_matched [(1 − b)² + d²] + Σ_other (b − d)² / 2)`` over the intervals of the prediction's patch with
    births b and deaths d in the superlevel filtration, in dimensions k = 0, 1. All intervals of a mask are (1, 0); as
    many intervals of the prediction are matched as the mask has, and each missing one costs ½. See `diagram_distance`.

    From the paper: the squared distance between diagrams, patches, late activation. From the authors' code: spurious
    intervals shorter than ``min_persistence`` are not penalised. Our choices: both dimensions (the code compares only
    components), which intervals are matched, and the mean over pixels, so that ``alpha`` does not depend on the image
    size. With ``frame="own-max"`` foreground surrounds each patch, so that a structure that crosses the patch divides
    its background into holes, and a gap joins two of them.

    The component that never dies is not compared. Ignored pixels are background in both, and patches without a labelled
    pixel are left out. NaN or infinite logits give NaN.

    ``active_from`` requires a call of `begin_step` before each training step; otherwise the term is active from the
    first call of the loss.

    Example:
        >>> import torch
        >>> from wsss.losses import TopoLoss
        >>> loss = TopoLoss(patch=16, base={"name": "dice"})
        >>> loss(torch.randn(1, 1, 32, 32), torch.randint(0, 2, (1, 32, 32))).item() > 0
        True
    """

    on_processor = True
    traceable = False
    config_type = TopoLossConfig
    config: TopoLossConfig

    def term(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the mean distance of diagrams; see `LossWithTerm.term`."""
        return self.begin_term(logits, target)()

    def begin_term(self, logits: Tensor, target: Tensor) -> Callable[[], Tensor]:
        """See `LossWithTerm.begin_term`."""
        predictions, classes = host_copy(foreground(logits.detach())), class_copy(target)
        return lambda: self._term(logits, predictions(), classes())

    def _term(self, logits: Tensor, predictions: NDArray[np.floating], classes: NDArray[np.integer]) -> Tensor:
        if classes.max() == IGNORE:
            predictions = predictions * (classes != IGNORE)[:, None]
        masks = [(image, channel) for image in range(len(classes)) for channel in range(predictions.shape[1])]
        try:
            results = in_threads(
                lambda mask: self._image(predictions, classes, *mask), masks, thread_count(self.config.threads)
            )
        except NotFinite:
            return nan_loss(logits)
        total = sum(loss for loss, _ in results)
        return sparse_loss(logits, total, [gradient for _, gradient in results], 1 / predictions.size)

    def _image(
        self, predictions: NDArray[np.floating], classes: NDArray[np.integer], image: int, channel: int
    ) -> tuple[float, ChannelGradient]:
        """Return the sum over the patches of one image for one class, and its derivatives."""
        prediction, label = predictions[image, channel], classes[image] == channel + 1
        (height, width), side = label.shape, self.config.patch
        total = 0.0
        pixels, derivatives = [np.zeros(0, np.int64)], [np.zeros(0)]
        for top in range(0, height, side):
            for left in range(0, width, side):
                cut = np.s_[top : top + side, left : left + side]
                if classes[image][cut].min() == IGNORE:
                    continue
                distance, indices, values = self._patch(prediction[cut], label[cut])
                total += distance
                rows, columns = np.divmod(indices, min(side, width - left))
                pixels.append((top + rows) * width + left + columns)
                derivatives.append(values)
        at = np.concatenate(pixels)
        values = prediction.ravel()[at].astype(np.float64)
        return total, ChannelGradient(image, channel + 1, at, values, np.concatenate(derivatives))

    def _patch(
        self, prediction: NDArray[np.floating], label: NDArray[np.bool_]
    ) -> tuple[float, NDArray[np.int64], NDArray[np.float64]]:
        """Return T of one patch, the indices of the pixels it depends on, and the derivatives."""
        frame = self.config.frame
        predicted, true = barcode(prediction, frame=frame), barcode(label, frame=frame)
        total = 0.0
        indices, derivatives = [np.zeros(0, np.int64)], [np.zeros(0)]
        dimensions = ((predicted.dim0, true.dim0), (predicted.dim1, true.dim1))
        for weight, (intervals, expected) in zip(self.config.dimension_weights, dimensions, strict=True):
            distance, by_births, by_deaths = diagram_distance(intervals, len(expected), self.config.min_persistence)
            total += weight * distance
            indices += [intervals.birth_indices, intervals.death_indices]
            derivatives += [weight * by_births, weight * by_deaths]
        at, values = np.concatenate(indices), np.concatenate(derivatives)
        used = (values != 0) & (at >= 0)  # a frame of zeros causes deaths without a pixel
        return total, at[used], values[used]


def diagram_distance(
    intervals: Intervals, count: int, min_persistence: float = 0.0
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Return the squared distance of a diagram to one of ``count`` intervals (1, 0), and its derivatives.

    As many pairs as possible are matched, with the smallest sum of squared distances. An interval (b, d) of persistence
    u = b − d costs ``(1 − b)² + d²`` if it is matched and ``u²/2``, its squared distance to the diagonal, if it is not;
    so the ``count`` largest ``u − (1 − b − d)²/2`` are matched, and each (1, 0) without a partner costs 1/2. Hu et al.
    match the most persistent intervals, which is the same where b + d = 1.

    Args:
        intervals: ``n`` intervals of one dimension of the superlevel filtration of an image in [0, 1].
        count: number of intervals of the label.
        min_persistence: unmatched intervals up to this length cost nothing.

    Returns:
        The distance, and its derivatives with respect to births and deaths, ``(n,)`` each.
    """
    births, deaths = intervals.births, intervals.deaths
    length = births - deaths
    saved = length - (1 - births - deaths) ** 2 / 2
    matched = np.zeros(len(births), bool)
    matched[np.argsort(-saved, kind="stable")[:count]] = True
    other = ~matched & (length > min_persistence)
    by_births = np.where(matched, 2 * (births - 1), np.where(other, length, 0.0))
    by_deaths = np.where(matched, 2 * deaths, np.where(other, -length, 0.0))
    missing = max(0, count - len(births))
    distance = ((births - 1) ** 2 + deaths**2)[matched].sum() + (length[other] ** 2).sum() / 2 + missing / 2
    return float(distance), by_births, by_deaths
