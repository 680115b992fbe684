"""The functions to call: barcodes of images and induced matchings of pairs of images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wsss.errors import InvalidInput
from wsss.topology.compiling import call
from wsss.topology.kernels.image_keys import (
    Essential,
    Filtration,
    Frame,
    Image,
    checked_image,
    checked_option,
    load_keys,
)
from wsss.topology.kernels.induced_matching import intervals_of_image, match_images
from wsss.topology.kernels.interval_pixels import locate
from wsss.topology.results import NO_PIXEL, Barcode, BettiMatching
from wsss.topology.threads import in_threads

Found = tuple[NDArray[np.int64], int]
"""What the kernels return per image: all intervals' pixels in the padded layout, and the number of components."""


def barcode(image: ArrayLike, *, filtration: Filtration = "superlevel", frame: Frame = "none") -> Barcode:
    """Return the persistence barcode of an image in dimensions 0 and 1.

    V-construction: pixels are vertices, edges and squares have the value of their worst pixel. So the foreground is
    4-connected and the background 8-connected.

    Args:
        image: ``(H, W)``, any real type, finite values.
        filtration: ``superlevel`` lets bright pixels enter first (foreground probabilities), ``sublevel`` dark ones.
        frame: ``none``; ``own-max`` surrounds the image with one pixel of the value that enters first (the image's
            maximum in the superlevel, its minimum in the sublevel filtration), so that what touches the border is
            closed off; ``zero`` surrounds it with zeros. Intervals that begin or end on the frame name the first pixel
            of that extreme value, or no pixel, ``(-1, -1)``, for a frame of zeros.

    Raises:
        InvalidInput: the image isn't two-dimensional and real, is empty, or has NaN or infinite values; an unknown
            option.

    Example:
        >>> barcode([[1, 0, 1], [1, 1, 1]]).dim0.values.tolist()
        []
        >>> barcode([[0.9, 0.1, 0.5]]).dim0.values.tolist()
        [[0.5, 0.1]]
    """
    checked_option(filtration, Filtration, "filtration")
    checked_option(frame, Frame, "frame")
    checked = checked_image(image)
    w = load_keys([checked], filtration, frame, ["image"])
    found = call(intervals_of_image, w.keys.dtype.name, *_framed(checked, frame), w)
    return _barcode(checked, found, filtration, frame)


def betti_matching(
    pred: ArrayLike,
    gt: ArrayLike,
    *,
    filtration: Filtration = "superlevel",
    frame: Frame = "none",
    essential: Essential = "omit",
) -> BettiMatching:
    """Match the barcodes of two images through their comparison image (Stucki et al., ICML 2023).

    The comparison image is the pointwise maximum (superlevel) or minimum (sublevel): the union of both. Ties are
    broken as in the authors' C++ implementation, Betti-Matching-3D: by (value, row, column, type of edge).

    Args:
        pred: ``(H, W)`` prediction: probabilities, or a mask.
        gt: ``(H, W)`` label, of the same shape.
        filtration: see `barcode`.
        frame: see `barcode`; each image is framed by its own values. ``own-max`` is the paper's ``relative=True``.
        essential: ``omit`` leaves the essential classes of dimension 0 out (the C++ implementation); ``match`` counts
            them as matched with each other and as dying at 0 (the Python implementation).

    Returns:
        The matching; for the paper's Betti matching error pass masks (thresholded at 0.5) and take ``.error``.

    Raises:
        InvalidInput: as for `barcode`; the shapes differ.

    Example:
        >>> betti_matching([[1, 0, 1]], [[1, 1, 1]]).error
        1
    """
    checked_option(filtration, Filtration, "filtration")
    checked_option(frame, Frame, "frame")
    checked_option(essential, Essential, "essential")
    return _match(checked_image(pred, "pred"), checked_image(gt, "gt"), filtration, frame, essential)


class Images(Protocol):
    """Several images: a list of arrays, or an array or CPU tensor ``(B, H, W)``."""

    def __len__(self) -> int:
        """Return how many."""

    def __iter__(self) -> Iterator[Any]:
        """Yield each, ``(H, W)``."""


def betti_matching_batch(
    preds: Images,
    gts: Images,
    *,
    threads: int | None = None,
    filtration: Filtration = "superlevel",
    frame: Frame = "none",
    essential: Essential = "omit",
) -> list[BettiMatching]:
    """`betti_matching` of many pairs, several at a time: the kernels run without Python's global lock.

    Args:
        preds: ``(B, H, W)``, or a sequence of images; shapes may differ from pair to pair.
        gts: as many labels.
        threads: how many pairs to work on at a time; by default as many as there are processors for this process.
        filtration: see `barcode`.
        frame: see `barcode`.
        essential: see `betti_matching`.

    Returns:
        One matching per pair, in order. The results don't depend on ``threads``.

    Raises:
        InvalidInput: as for `betti_matching`, naming the first wrong image; the numbers of images differ; ``threads``
            is less than 1.
    """
    checked_option(filtration, Filtration, "filtration")
    checked_option(frame, Frame, "frame")
    checked_option(essential, Essential, "essential")
    if len(preds) != len(gts):
        raise InvalidInput(f"preds and gts: found {len(preds)} predictions and {len(gts)} labels; one label each")
    pairs = [
        (checked_image(pred, f"preds[{i}]"), checked_image(gt, f"gts[{i}]"), i)
        for i, (pred, gt) in enumerate(zip(preds, gts, strict=True))
    ]
    return in_threads(
        lambda pair: _match(pair[0], pair[1], filtration, frame, essential, f"preds[{pair[2]}]", f"gts[{pair[2]}]"),
        pairs,
        threads,
    )


def _match(
    pred: Image,
    gt: Image,
    filtration: Filtration,
    frame: Frame,
    essential: Essential,
    pred_name: str = "pred",
    gt_name: str = "gt",
) -> BettiMatching:
    if pred.shape != gt.shape:
        raise InvalidInput(f"{pred_name} and {gt_name}: the shapes must agree, found {pred.shape} and {gt.shape}")
    w = load_keys([pred, gt], filtration, frame, [pred_name, gt_name])
    of_pred, of_gt, pairs0, pairs1 = call(match_images, w.keys.dtype.name, *_framed(pred, frame), w)
    return BettiMatching(
        _barcode(pred, of_pred, filtration, frame),
        _barcode(gt, of_gt, filtration, frame),
        (pairs0, pairs1),
        essential == "match",
    )


def _framed(image: Image, frame: Frame) -> tuple[int, int]:
    margin = 0 if frame == "none" else 2
    return image.shape[0] + margin, image.shape[1] + margin


def _barcode(image: Image, found: Found, filtration: Filtration, frame: Frame) -> Barcode:
    """Turn indices of the padded layout into values and cells of the image."""
    padded, components = found
    substitute = NO_PIXEL
    if frame == "own-max":
        substitute = int(image.argmax() if filtration == "superlevel" else image.argmin())
    cells, values = np.empty(padded.size, np.int64), np.empty(padded.size)
    call(locate, image.dtype.name, padded, image, 0 if frame == "none" else 1, substitute, cells, values)
    return Barcode(values, cells, components, image.shape[1], -np.inf if filtration == "superlevel" else np.inf)
