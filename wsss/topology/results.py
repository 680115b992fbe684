"""Results: intervals with their pixels, barcodes, matchings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

NO_PIXEL = -1
"""Index, row and column of a value without a pixel of the image."""


@dataclass(frozen=True, eq=False)
class Intervals:
    """``n`` persistence intervals of one dimension, in the image's own values.

    Births are larger than deaths in the superlevel filtration, and smaller in the sublevel filtration.

    Attributes:
        births: ``(n,)`` float64.
        deaths: ``(n,)`` float64.
        birth_indices: ``(n,)`` int64, indices into the flattened image of the pixels with the values ``births``; -1 for
            values without a pixel (on a frame of zeros, and deaths of essential classes).
        death_indices: ``(n,)`` int64, likewise for ``deaths``.
        columns: width of the image.

    Example:
        >>> from wsss.topology import barcode
        >>> components = barcode([[0.9, 0.1, 0.5]]).dim0
        >>> components.values.tolist(), components.death_pixels.tolist()
        ([[0.5, 0.1]], [[0, 1]])
    """

    births: NDArray[np.float64]
    deaths: NDArray[np.float64]
    birth_indices: NDArray[np.int64]
    death_indices: NDArray[np.int64]
    columns: int

    def __len__(self) -> int:
        return len(self.births)

    @property
    def values(self) -> NDArray[np.float64]:
        """``(n, 2)``: births and deaths side by side."""
        return np.stack([self.births, self.deaths], axis=1)

    @property
    def birth_pixels(self) -> NDArray[np.int64]:
        """``(n, 2)``: row and column of each birth; ``(-1, -1)`` for none."""
        return _pixels(self.birth_indices, self.columns)

    @property
    def death_pixels(self) -> NDArray[np.int64]:
        """``(n, 2)``: row and column of each death; ``(-1, -1)`` for none."""
        return _pixels(self.death_indices, self.columns)

    def take(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> Intervals:
        """Return the intervals with these indices, or where a mask is True."""
        return Intervals(
            self.births[index], self.deaths[index], self.birth_indices[index], self.death_indices[index], self.columns
        )

    def followed_by(self, other: Intervals) -> Intervals:
        """Return the concatenation with other intervals."""
        return Intervals(
            np.concatenate([self.births, other.births]),
            np.concatenate([self.deaths, other.deaths]),
            np.concatenate([self.birth_indices, other.birth_indices]),
            np.concatenate([self.death_indices, other.death_indices]),
            self.columns,
        )


def _pixels(indices: NDArray[np.int64], columns: int) -> NDArray[np.int64]:
    pixels = np.stack(np.divmod(indices, columns), axis=1)
    pixels[indices < 0] = NO_PIXEL
    return pixels


@dataclass(frozen=True, eq=False)
class Barcode:
    """Barcode of an image: ``n0 + n1`` intervals of positive length, and the essential class.

    Attributes:
        values: ``(2 n0 + 2 n1 + 1,)`` float64: births and deaths of dimension 0, births and deaths of dimension 1, the
            birth of the essential class.
        indices: ``(2 n0 + 2 n1 + 1,)`` int64, the pixels with these values; see `Intervals`.
        components: n0.
        columns: width of the image.
        essential_death: death of the essential class.

    Example:
        >>> from wsss.topology import barcode
        >>> bars = barcode([[1, 1, 1], [1, 0, 1], [1, 1, 1]])
        >>> len(bars.dim0), len(bars.dim1), bars.essential.births.tolist()
        (0, 1, [1.0])
    """

    values: NDArray[np.float64]
    indices: NDArray[np.int64]
    components: int
    columns: int
    essential_death: float

    @cached_property
    def dim0(self) -> Intervals:
        """Connected components (4-connected in the filtration's foreground), without the essential one."""
        return self._intervals(0, self.components)

    @cached_property
    def dim1(self) -> Intervals:
        """Holes (8-connected in the background)."""
        return self._intervals(2 * self.components, self.values.size // 2 - self.components)

    @cached_property
    def essential(self) -> Intervals:
        """The component that never dies; its death, ``-inf`` (superlevel) or ``inf``, has no pixel."""
        death, no_pixel = np.array([self.essential_death]), np.array([NO_PIXEL])
        return Intervals(self.values[-1:], death, self.indices[-1:], no_pixel, self.columns)

    def _intervals(self, first: int, count: int) -> Intervals:
        births, deaths = slice(first, first + count), slice(first + count, first + 2 * count)
        return Intervals(
            self.values[births], self.values[deaths], self.indices[births], self.indices[deaths], self.columns
        )


@dataclass(frozen=True, eq=False)
class DimensionMatching:
    """Matched and unmatched intervals of one dimension.

    Row ``i`` of ``matched_pred`` is matched with row ``i`` of ``matched_gt``.

    Example:
        >>> from wsss.topology import betti_matching
        >>> betti_matching([[1, 0, 1]], [[1, 1, 1]]).dim0.unmatched_pred.birth_pixels.tolist()
        [[0, 2]]
    """

    matched_pred: Intervals
    matched_gt: Intervals
    unmatched_pred: Intervals
    unmatched_gt: Intervals

    @property
    def matched(self) -> NDArray[np.float64]:
        """``(m, 4)``: birth and death in the prediction, birth and death in the label."""
        return np.concatenate([self.matched_pred.values, self.matched_gt.values], axis=1)

    @property
    def error(self) -> int:
        """Number of unmatched intervals of both images."""
        return len(self.unmatched_pred) + len(self.unmatched_gt)

    def loss(self) -> float:
        """``2 Σ_matched [(b₀−b₁)² + (d₀−d₁)²] + Σ_unmatched (b−d)²`` over the unmatched intervals of both images."""
        births = self.matched_pred.births - self.matched_gt.births
        deaths = self.matched_pred.deaths - self.matched_gt.deaths
        total = 2 * (np.dot(births, births) + np.dot(deaths, deaths))
        for unmatched in (self.unmatched_pred, self.unmatched_gt):
            lengths = unmatched.births - unmatched.deaths
            total += np.dot(lengths, lengths)
        return float(total)


@dataclass(frozen=True, eq=False)
class BettiMatching:
    """The induced matching of a prediction's and a label's barcodes.

    Attributes:
        pred: barcode of the prediction.
        gt: barcode of the label.
        pairs: per dimension ``(m, 2)`` int32, indices of matched intervals of ``pred`` and ``gt``.
        essential_matched: whether the essential classes are matched with each other, with deaths at 0, or left out.

    Example:
        >>> from wsss.topology import betti_matching
        >>> matching = betti_matching([[0.9, 0.2, 0.6]], [[1, 1, 1]])
        >>> matching.error, round(matching.loss(), 2)
        (1, 0.16)
    """

    pred: Barcode
    gt: Barcode
    pairs: tuple[NDArray[np.int32], NDArray[np.int32]]
    essential_matched: bool

    @cached_property
    def dim0(self) -> DimensionMatching:
        """Connected components. With ``essential="match"`` the last matched row is the essential class."""
        split = _split(self.pred.dim0, self.gt.dim0, self.pairs[0])
        if not self.essential_matched:
            return split
        return DimensionMatching(
            split.matched_pred.followed_by(_dying_at_zero(self.pred.essential)),
            split.matched_gt.followed_by(_dying_at_zero(self.gt.essential)),
            split.unmatched_pred,
            split.unmatched_gt,
        )

    @cached_property
    def dim1(self) -> DimensionMatching:
        """Holes."""
        return _split(self.pred.dim1, self.gt.dim1, self.pairs[1])

    def loss(self) -> float:
        """Betti matching loss: the sum of `DimensionMatching.loss` over both dimensions."""
        return self.dim0.loss() + self.dim1.loss()

    @property
    def error(self) -> int:
        """Number of unmatched features of both images: the Betti matching error, if both are binary masks."""
        return self.dim0.error + self.dim1.error


def _split(pred: Intervals, gt: Intervals, pairs: NDArray[np.int32]) -> DimensionMatching:
    free_pred, free_gt = np.ones(len(pred), bool), np.ones(len(gt), bool)
    free_pred[pairs[:, 0]] = False
    free_gt[pairs[:, 1]] = False
    return DimensionMatching(pred.take(pairs[:, 0]), gt.take(pairs[:, 1]), pred.take(free_pred), gt.take(free_gt))


def _dying_at_zero(essential: Intervals) -> Intervals:
    return Intervals(essential.births, np.zeros(1), essential.birth_indices, essential.death_indices, essential.columns)
