"""How far the topology of a predicted mask is from that of the true one.

Every function takes two masks ``(H, W)`` in which everything but 0 is foreground, and says what it returns when the
prediction, the label, or both are empty: always a number, never NaN, infinity or a value that only stands for "none".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from wsss.metrics.surface import masks_of_one_shape
from wsss.topology import betti_matching, betti_numbers, local_betti_error, skeleton

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from wsss.topology.betti import BettiErrors

Frame = Literal["none", "own-max"]

WINDOW = 128
"""Side of the windows of TopoMortar's local Betti errors, in pixels."""


class BettiNumberError(NamedTuple):
    """Absolute differences of the numbers of components and of holes."""

    b0: int
    b1: int


class BettiMatchingError(NamedTuple):
    """Numbers of unmatched components and of unmatched holes, of both masks together."""

    dim0: int
    dim1: int

    @property
    def total(self) -> int:
        """The Betti matching error."""
        return self.dim0 + self.dim1


def betti_number_error(pred: ArrayLike, gt: ArrayLike, *, connectivity: int = 8) -> BettiNumberError:
    """Return ``(|β₀(pred) − β₀(gt)|, |β₁(pred) − β₁(gt)|)``.

    An empty mask has neither components nor holes, so that if just one mask is empty the errors are the other's Betti
    numbers, and if both are, 0.

    Args:
        pred: ``(H, W)`` mask.
        gt: ``(H, W)`` mask.
        connectivity: of the foreground; 8 is TopoMortar's convention.

    Raises:
        InvalidInput: no masks of one shape, or another connectivity.
    """
    first, second = masks_of_one_shape(pred, gt)
    a, b = betti_numbers(first, connectivity=connectivity), betti_numbers(second, connectivity=connectivity)
    return BettiNumberError(abs(a.b0 - b.b0), abs(a.b1 - b.b1))


def local_betti_number_error(
    pred: ArrayLike, gt: ArrayLike, *, window: int = WINDOW, connectivity: int = 8
) -> BettiErrors:
    """Return the means of `betti_number_error` over windows that tile the image; see `wsss.topology`.

    Windows that are empty in both masks count, with an error of 0.

    Raises:
        InvalidInput: as `betti_number_error`; ``window`` is less than 1.
    """
    first, second = masks_of_one_shape(pred, gt)
    return local_betti_error(first, second, window=window, connectivity=connectivity)


def betti_matching_error(pred: ArrayLike, gt: ArrayLike, *, frame: Frame = "own-max") -> BettiMatchingError:
    """Return the Betti matching error (Stucki et al., ICML 2023): the number of features without a partner.

    Features are 4-connected components and 8-connected holes, as the construction has it. It is at least the Betti
    number error of the same connectivity (4) and frame, in each dimension.

    With ``frame="own-max"``, the paper's ``relative=True``, both masks get a frame of foreground one pixel wide. So
    what touches the border is one component, which always has its partner, and background cut off by the border is a
    hole. An empty mask gets the frame, too: its own maximum, 0, would make the label's whole background an unmatched
    hole, and a mask that is foreground everywhere equal to an empty one.

    With ``frame="none"``, one component of each mask is essential (it never dies), and these two are partners. If just
    one mask is empty it has no such component to offer; the other's then counts as unmatched, which
    `wsss.topology.betti_matching` can't say, since it leaves essential components out. So the error against an empty
    mask is β₀ + β₁.

    Two empty masks have no features: the error is 0.

    Args:
        pred: ``(H, W)`` mask.
        gt: ``(H, W)`` mask.
        frame: as above.

    Raises:
        InvalidInput: no masks of one shape; another frame.
    """
    first, second = masks_of_one_shape(pred, gt)
    if frame == "own-max":
        # Both maxima are 1 once there is foreground; the empty mask is the reason not to leave the frame to the core.
        found = betti_matching(_framed(first), _framed(second))
    else:
        found = betti_matching(first, second, frame=frame)
    essential = int(frame == "none" and first.any() != second.any())
    return BettiMatchingError(found.dim0.error + essential, found.dim1.error)


def cldice(pred: ArrayLike, gt: ArrayLike, *, transposed: bool = False) -> float:
    """Return clDice (Shit et al., CVPR 2021) in [0, 1]: ``2 P S / (P + S)``.

    P is the share of the prediction's skeleton that lies in the label, S that of the label's skeleton in the
    prediction; skeletons by Zhang and Suen. A mask with foreground has a skeleton, so both are defined unless a mask is
    empty: if both are, clDice is 1 (nothing to find, nothing found), if just one is, 0.

    Zhang and Suen's thinning treats rows and columns differently: the skeleton of a transposed mask is not the
    transposed skeleton. Programs that load images with the axes swapped (MONAI's ``LoadImage``) therefore get slightly
    different values, which ``transposed`` reproduces.

    Args:
        pred: ``(H, W)`` mask.
        gt: ``(H, W)`` mask.
        transposed: compute clDice of the transposed masks.

    Raises:
        InvalidInput: no masks of one shape.

    Example:
        >>> cldice([[0, 0, 0], [1, 1, 1], [0, 0, 0]], [[1, 1, 1], [1, 1, 1], [1, 1, 1]])
        1.0
    """
    first, second = masks_of_one_shape(pred, gt)
    if not first.any() or not second.any():
        return float(first.any() == second.any())
    if transposed:
        first, second = first.T, second.T
    precision, sensitivity = _covered(first, second), _covered(second, first)
    return 2 * precision * sensitivity / (precision + sensitivity) if precision + sensitivity else 0.0


def _framed(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.pad(mask, 1, constant_values=True)


def _covered(mask: NDArray[np.bool_], by: NDArray[np.bool_]) -> float:
    """Return the share of the mask's skeleton that ``by`` covers."""
    line = skeleton(mask)
    return float((line & by).sum() / line.sum())
