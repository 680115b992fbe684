"""TopoLoss (Hu et al., NeurIPS 2019): a prediction's persistence diagram should be that of the label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wsss.io.rasters.label_masks import IGNORE
from wsss.losses.base import not_a_number
from wsss.losses.config import TopoLossConfig
from wsss.losses.sparse import Slopes, sparse_loss
from wsss.losses.term import LossWithTerm, foreground
from wsss.topology import Intervals, NotFinite, barcode
from wsss.topology.threads import in_threads


class TopoLoss(LossWithTerm):
    """``base_weight · base + alpha · mean over pixels and classes of the sum over patches of T(p, g)``.

    ``T = Σ_k w_k (Σ_kept [(1 − b)² + d²] + Σ_other (b − d)² / 2)`` over the intervals of the prediction's patch, with
    births b and deaths d in the superlevel filtration and dimensions k = 0, 1. The intervals of a mask are all (1, 0).
    As many intervals of the prediction are kept as the mask has; each that it has more costs ½. See `diagram_distance`.

    The paper's: the squared distance of diagrams, patches, late activation. From the authors' code: intervals shorter
    than ``min_persistence`` stay as they are. Ours: both dimensions (the code compares components alone); which
    intervals are kept; the mean over pixels, so that ``alpha`` means the same for images of any size. With
    ``frame: own-max`` foreground surrounds each patch, so that a structure that crosses the patch divides its
    background into holes, and a gap joins two of them.

    The component that never dies isn't compared. Pixels of unknown class are background in both, and patches without
    any known pixel are left out. NaN or infinite logits give NaN.
    """

    def __init__(self, config: TopoLossConfig | None = None) -> None:
        self.config = config or TopoLossConfig()
        super().__init__(self.config)

    def term(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the mean distance of diagrams; see `LossWithTerm.term`."""
        probabilities = foreground(logits.detach())
        predictions, classes = probabilities.cpu().numpy(), target.cpu().numpy()
        if classes.max() == IGNORE:
            predictions = predictions * (classes != IGNORE)[:, None]
        places = [(image, channel) for image in range(len(classes)) for channel in range(predictions.shape[1])]
        try:
            found = in_threads(lambda at: self._image(predictions, classes, *at), places, self.config.threads)
        except NotFinite:
            return not_a_number(logits)
        return sparse_loss(logits, sum(loss for loss, _ in found), [part for _, part in found], 1 / predictions.size)

    def _image(
        self, predictions: NDArray[np.floating], classes: NDArray[np.integer], image: int, channel: int
    ) -> tuple[float, Slopes]:
        """Return the sum over the patches of one image for one class, and its derivatives."""
        prediction, label = predictions[image, channel], classes[image] == channel + 1
        (height, width), side = label.shape, self.config.patch
        total = 0.0
        pixels, slopes = [np.zeros(0, np.int64)], [np.zeros(0)]
        for top in range(0, height, side):
            for left in range(0, width, side):
                cut = np.s_[top : top + side, left : left + side]
                if classes[image][cut].min() == IGNORE:
                    continue
                distance, cells, values = self._patch(prediction[cut], label[cut])
                total += distance
                rows, columns = np.divmod(cells, min(side, width - left))
                pixels.append((top + rows) * width + left + columns)
                slopes.append(values)
        at = np.concatenate(pixels)
        values = prediction.ravel()[at].astype(np.float64)
        return total, Slopes(image, channel + 1, at, values, np.concatenate(slopes))

    def _patch(
        self, prediction: NDArray[np.floating], label: NDArray[np.bool_]
    ) -> tuple[float, NDArray[np.int64], NDArray[np.float64]]:
        """Return T of one patch, the patch's pixels that it depends on, and the derivatives by their probabilities."""
        frame = self.config.frame
        found, wanted = barcode(prediction, frame=frame), barcode(label, frame=frame)
        total = 0.0
        cells, slopes = [np.zeros(0, np.int64)], [np.zeros(0)]
        parts = ((found.dim0, wanted.dim0), (found.dim1, wanted.dim1))
        for weight, (intervals, kept) in zip(self.config.dimension_weights, parts, strict=True):
            distance, by_births, by_deaths = diagram_distance(intervals, len(kept), self.config.min_persistence)
            total += weight * distance
            cells += [intervals.birth_cells, intervals.death_cells]
            slopes += [weight * by_births, weight * by_deaths]
        at, values = np.concatenate(cells), np.concatenate(slopes)
        moving = (values != 0) & (at >= 0)  # on a frame of zeros there are deaths that no pixel has
        return total, at[moving], values[moving]


def diagram_distance(
    intervals: Intervals, count: int, min_persistence: float = 0.0
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Return the squared distance of a diagram to one of ``count`` intervals (1, 0), and its derivatives.

    As many pairs as possible are matched, those that make the sum of squared distances smallest. An interval (b, d) of
    persistence u = b − d costs ``(1 − b)² + d²`` where it is matched and ``u²/2``, its squared distance to the
    diagonal, where it isn't: so the ``count`` largest ``u − (1 − b − d)²/2`` are matched, and a (1, 0) that finds no
    interval costs 1/2. Hu et al. match the most persistent ones: the same where b + d = 1.

    Args:
        intervals: ``n`` of the superlevel filtration of an image in [0, 1], of one dimension.
        count: of the intervals wanted.
        min_persistence: intervals up to this length that aren't matched cost nothing.

    Returns:
        The distance, and its derivatives by births and by deaths, ``(n,)`` each.
    """
    births, deaths = intervals.births, intervals.deaths
    length = births - deaths
    saved = length - (1 - births - deaths) ** 2 / 2
    kept = np.zeros(len(births), bool)
    kept[np.argsort(-saved, kind="stable")[:count]] = True
    other = ~kept & (length > min_persistence)
    by_births = np.where(kept, 2 * (births - 1), np.where(other, length, 0.0))
    by_deaths = np.where(kept, 2 * deaths, np.where(other, -length, 0.0))
    missing = max(0, count - len(births))
    distance = ((births - 1) ** 2 + deaths**2)[kept].sum() + (length[other] ** 2).sum() / 2 + missing / 2
    return float(distance), by_births, by_deaths
