"""Masks that follow class-agnostic segments (SEPL: Chen et al., 2023, arXiv 2305.05803).

A segment, such as one of SAM or a superpixel, is assigned to a class if the mask has that class on most of the segment,
or if the segment covers nearly all pixels of the class. A class with at least one segment loses its pixels in other
segments; pixels that no segment covers keep their class, as in the authors' code. Ours: a class without a segment keeps
all its pixels (in their code, those outside all segments), and a segment is assigned to the most frequent class in it
(there, to the first).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from wsss.validation import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

IGNORE = 255


class SegmentVoteConfig(Settings):
    """Conditions for assigning a segment to a class."""

    min_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="a segment is assigned to a class if more than this fraction of its pixels have the class",
    )
    min_cover: float = Field(
        default=0.85,
        gt=0,
        le=1,
        description="a segment is also assigned to a class if it covers at least this fraction of the pixels of the "
        "class",
    )


Superpixels = Literal["slic", "felzenszwalb"]


def snap(
    mask: NDArray[np.uint8], segments: Sequence[NDArray[np.bool_]], config: SegmentVoteConfig
) -> NDArray[np.uint8]:
    """Return the mask with its objects replaced by segments.

    Where segments overlap, the smallest one determines the class.

    Args:
        mask: ``(H, W)`` class indices, 0 = background, 255 = uncertain.
        segments: each ``(H, W)``; each item is accessed twice, so it may be decoded on access.
        config: conditions for assigning a segment to a class.

    Returns:
        ``(H, W)`` uint8; pixels that no segment covers are unchanged, and uncertain pixels outside the assigned
        segments remain uncertain.
    """
    counts = np.bincount(mask.ravel(), minlength=256)
    taken: list[tuple[int, int, int]] = []
    covered = np.zeros(mask.shape, bool)
    for index, segment in enumerate(segments):
        covered |= segment
        area = int(np.count_nonzero(segment))
        label = _label(np.bincount(mask[segment], minlength=256), area, counts, config)
        if label:
            taken.append((-area, index, label))
    snapped = mask.copy()
    snapped[covered & np.isin(mask, [label for *_, label in taken])] = 0
    for _, index, label in sorted(taken):
        snapped[segments[index]] = label
    return snapped


def _label(inside: NDArray[np.int64], area: int, counts: NDArray[np.int64], config: SegmentVoteConfig) -> int:
    """Return the class of a segment (the most frequent one in it), or 0 if it is assigned to none.

    Args:
        inside: ``(256,)`` pixels of each class in the segment.
        area: pixels of the segment.
        counts: ``(256,)`` pixels of each class in the image.
        config: conditions for assigning a segment to a class.
    """
    label = 1 + int(inside[1:IGNORE].argmax())
    shared = int(inside[label])
    if shared and (shared > config.min_share * area or shared >= config.min_cover * int(counts[label])):
        return label
    return 0


def snap_to_regions(
    mask: NDArray[np.uint8], numbers: NDArray[np.integer], config: SegmentVoteConfig
) -> NDArray[np.uint8]:
    """Return `snap` of the segments of a map of segment numbers, in time independent of their number.

    Args:
        mask: see `snap`.
        numbers: ``(H, W)`` integers ≥ 0; 0 belongs to no segment.
        config: conditions for assigning a segment to a class.
    """
    present, positions = np.unique(numbers, return_inverse=True)
    inside = np.bincount(positions.ravel() * 256 + mask.ravel(), minlength=len(present) * 256).reshape(-1, 256)
    counts, areas = inside.sum(0), inside.sum(1)
    labels = np.array(
        [_label(inside[row], int(areas[row]), counts, config) if present[row] else 0 for row in range(len(present))],
        np.uint8,
    )
    snapped = mask.copy()
    snapped[(numbers > 0) & np.isin(mask, labels[labels > 0])] = 0
    painted = labels[positions.reshape(mask.shape)]
    return np.where(painted > 0, painted, snapped)


def with_true_classes(
    mask: NDArray[np.uint8], numbers: NDArray[np.integer], truth: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return the mask with every segment assigned its most frequent true class: an oracle.

    Args:
        mask: ``(H, W)`` class indices; kept in pixels that belong to no segment, and in segments without a true class.
        numbers: ``(H, W)`` integers ≥ 0; 0 belongs to no segment.
        truth: ``(H, W)`` true class indices, 0 = background, 255 = unknown.
    """
    present, positions = np.unique(numbers, return_inverse=True)
    inside = np.bincount(positions.ravel() * 256 + truth.ravel(), minlength=len(present) * 256).reshape(-1, 256)
    known = inside[:, :IGNORE]
    assigned, positions = (present > 0) & known.any(1), positions.reshape(mask.shape)
    return np.where(assigned[positions], known.argmax(1).astype(np.uint8)[positions], mask)


def segment_numbers(segments: Sequence[NDArray[np.bool_]], shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Return the number ≥ 1 of the smallest segment at every pixel, ``(H, W)``; 0 without a segment.

    Args:
        segments: each ``(H, W)``; each item is accessed twice, see `snap`.
        shape: H and W.
    """
    areas = [int(np.count_nonzero(segment)) for segment in segments]
    numbers = np.zeros(shape, np.int32)
    for index in sorted(range(len(areas)), key=lambda index: (-areas[index], index)):
        numbers[segments[index]] = index + 1
    return numbers


def superpixels(image: NDArray[np.uint8], method: Superpixels, size: int) -> NDArray[np.int64]:
    """Return numbers ≥ 1 of the superpixels of an image; see ``skimage.segmentation``.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        method: ``slic`` (Achanta et al., 2012): compact, of about equal size; ``felzenszwalb`` (Felzenszwalb &
            Huttenlocher, 2004): along strong edges, of any size.
        size: pixels per superpixel: the mean for ``slic``, the minimum for ``felzenszwalb``.
    """
    from skimage.segmentation import felzenszwalb, slic

    if method == "slic":
        count = max(1, round(image.shape[0] * image.shape[1] / size))
        return np.asarray(slic(image, n_segments=count, start_label=1), np.int64)
    return np.asarray(felzenszwalb(image, scale=size, min_size=size), np.int64) + 1
