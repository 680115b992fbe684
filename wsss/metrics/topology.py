"""Topological errors of a predicted mask.

All functions compare two masks ``(H, W)`` and return finite numbers, even if the prediction, the label or both are
empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from wsss.metrics.surface import mask_pair
from wsss.topology import betti_matching, betti_numbers, skeleton
from wsss.topology import local_betti_error as error_in_windows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from wsss.topology import BettiErrors

Frame = Literal["none", "own-max"]

WINDOW = 128
"""Side of the windows of TopoMortar's local Betti errors, in pixels."""


class BettiError(NamedTuple):
    """Absolute differences of the numbers of components and holes."""

    b0: int
    b1: int


class BettiMatchingError(NamedTuple):
    """Numbers of unmatched components and holes of both masks."""

    dim0: int
    dim1: int

    @property
    def total(self) -> int:
        """The Betti matching error."""
        return self.dim0 + self.dim1


def betti_error(
    pred: ArrayLike, gt: ArrayLike, *, connectivity: int = 8, ignore_index: int | None = None
) -> BettiError:
    """Return ``(|β₀(pred) − β₀(gt)|, |β₁(pred) − β₁(gt)|)``.

    An empty mask has neither components nor holes. Any non-zero value, including 255, is foreground, unless it is the
    ``ignore_index``.

    Args:
        pred: ``(H, W)`` mask, or with leading dimensions of 1; an array or a tensor, non-zero pixels are foreground.
        gt: ``(H, W)`` mask of the same shape.
        connectivity: connectivity of the foreground; 8 is TopoMortar's convention.
        ignore_index: value of pixels of ``gt`` that are background in both masks.

    Raises:
        InvalidInput: all pixels are ignored, the shapes differ, or a mask or the connectivity is invalid.

    Example:
        >>> from wsss.metrics import betti_error
        >>> betti_error([[1, 0, 1]], [[1, 1, 1]])
        BettiError(b0=1, b1=0)
    """
    a, b = (betti_numbers(mask, connectivity=connectivity) for mask in mask_pair(pred, gt, ignore_index))
    return BettiError(abs(a.b0 - b.b0), abs(a.b1 - b.b1))


def local_betti_error(
    pred: ArrayLike, gt: ArrayLike, *, window: int = WINDOW, connectivity: int = 8, ignore_index: int | None = None
) -> BettiErrors:
    """Return the mean of `betti_error` over windows that tile the image.

    Windows that are empty in both masks have an error of 0.

    Any non-zero value, including 255, is foreground, unless it is the ``ignore_index``.

    Args:
        pred: see `betti_error`.
        gt: see `betti_error`.
        window: side of the windows in pixels; those at the right and lower border may be smaller.
        connectivity: see `betti_error`.
        ignore_index: see `betti_error`.

    Raises:
        InvalidInput: see `betti_error`; or ``window`` is below 1.

    Example:
        >>> from wsss.metrics import local_betti_error
        >>> local_betti_error([[1, 0, 0, 0]], [[0, 0, 0, 1]], window=2)
        BettiErrors(b0=1.0, b1=0.0)
    """
    return error_in_windows(*mask_pair(pred, gt, ignore_index), window=window, connectivity=connectivity)


def betti_matching_error(
    pred: ArrayLike, gt: ArrayLike, *, frame: Frame = "own-max", ignore_index: int | None = None
) -> BettiMatchingError:
    """Return the Betti matching error (Stucki et al., ICML 2023): the number of unmatched features.

    Features are 4-connected components and 8-connected holes. In each dimension the error is at least the Betti error
    of the same connectivity (4) and frame.

    With ``frame="own-max"``, the paper's ``relative=True``, both masks get a frame of foreground one pixel wide. All
    foreground at the border is then one component, which is always matched, and background cut off by the border is a
    hole. Empty masks get the frame too. (With its own maximum, 0, as frame, an empty mask would turn the label's whole
    background into an unmatched hole, and would equal a full mask.)

    With ``frame="none"``, the essential components of both masks, which never die, are matched. If one mask is empty,
    the other's essential component counts as unmatched, so that the error is β₀ + β₁; `wsss.topology.betti_matching`
    leaves essential components out.

    Two empty masks have an error of 0.

    Any non-zero value, including 255, is foreground, unless it is the ``ignore_index``.

    Args:
        pred: see `betti_error`.
        gt: see `betti_error`.
        frame: frame around both masks.
        ignore_index: see `betti_error`.

    Raises:
        InvalidInput: all pixels are ignored, the shapes differ, or a mask or the frame is invalid.

    Example:
        >>> from wsss.metrics import betti_matching_error
        >>> betti_matching_error([[1, 0, 1]], [[1, 1, 1]], frame="none").total
        1
    """
    first, second = mask_pair(pred, gt, ignore_index)
    if frame == "own-max":  # framed here, since the frame of an empty mask would be 0
        matching = betti_matching(*(np.pad(mask, 1, constant_values=True) for mask in (first, second)))
    else:
        matching = betti_matching(first, second, frame=frame)
    essential = int(frame == "none" and first.any() != second.any())
    return BettiMatchingError(matching.dim0.error + essential, matching.dim1.error)


def cldice(pred: ArrayLike, gt: ArrayLike, *, transposed: bool = False, ignore_index: int | None = None) -> float:
    """Return clDice (Shit et al., CVPR 2021) in [0, 1]: ``2 P S / (P + S)``.

    P is the fraction of the prediction's skeleton inside the label, S the fraction of the label's skeleton inside the
    prediction; skeletons by Zhang and Suen. clDice is 1 if both masks are empty, and 0 if one is.

    Zhang and Suen's thinning treats rows and columns differently. Programs that load images with swapped axes (MONAI's
    ``LoadImage``) therefore get slightly different values, which ``transposed`` reproduces.

    Any non-zero value, including 255, is foreground, unless it is the ``ignore_index``.

    Args:
        pred: see `betti_error`.
        gt: see `betti_error`.
        transposed: compute clDice of the transposed masks.
        ignore_index: see `betti_error`.

    Raises:
        InvalidInput: all pixels are ignored, the shapes differ, or a mask is invalid.

    Example:
        >>> from wsss.metrics import cldice
        >>> cldice([[1, 1, 0, 0]], [[1, 1, 1, 1]])
        0.6666666666666666
    """
    first, second = mask_pair(pred, gt, ignore_index)
    if not first.any() or not second.any():
        return float(first.any() == second.any())
    if transposed:
        first, second = first.T, second.T
    precision, sensitivity = _covered(first, second), _covered(second, first)
    return 2 * precision * sensitivity / (precision + sensitivity) if precision + sensitivity else 0.0


def _covered(mask: NDArray[np.bool_], cover: NDArray[np.bool_]) -> float:
    """Return the fraction of the mask's skeleton inside ``cover``."""
    line = skeleton(mask)
    return float((line & cover).sum() / line.sum())
