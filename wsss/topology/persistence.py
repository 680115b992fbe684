"""Barcodes of images, and induced matchings of pairs of images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wsss.errors import InvalidInput, Verbatim
from wsss.topology.compiling import call
from wsss.topology.kernels.image_keys import (
    Essential,
    Filtration,
    Frame,
    Image,
    checked_image,
    checked_option,
    load_keys,
    require_one_shape,
)
from wsss.topology.kernels.induced_matching import intervals_of_image, match_images
from wsss.topology.kernels.interval_pixels import locate
from wsss.topology.results import NO_PIXEL, Barcode, BettiMatching
from wsss.topology.threads import in_threads

Endpoints = tuple[NDArray[np.int64], int]
"""Result of the kernels per image: the pixels of all births and deaths in the padded layout, number of components."""


def barcode(image: ArrayLike, *, filtration: Filtration = "superlevel", frame: Frame = "none") -> Barcode:
    """Return the persistence barcode of an image in dimensions 0 and 1.

    V-construction: pixels are vertices; edges and squares have the value of their worst pixel. The foreground is thus
    4-connected and the background 8-connected.

    Args:
        image: ``(H, W)``, an array or a tensor of any real type with finite values.
        filtration: ``superlevel`` adds bright pixels first (foreground probabilities), ``sublevel`` dark pixels.
        frame: ``none``; ``own-max`` surrounds the image with one pixel of its first value (the maximum in the
            superlevel, the minimum in the sublevel filtration), which closes background regions cut off by the border;
            ``zero`` surrounds it with zeros. Intervals that begin or end on the frame have the first pixel of that
            extreme value, or no pixel, ``(-1, -1)``, for a frame of zeros.

    Raises:
        InvalidInput: not a two-dimensional real image with pixels, NaN or infinite values, or an unknown option.

    Example:
        >>> from wsss.topology import barcode
        >>> barcode([[1, 0, 1], [1, 1, 1]]).dim0.values.tolist()
        []
        >>> barcode([[0.9, 0.1, 0.5]]).dim0.values.tolist()
        [[0.5, 0.1]]
    """
    checked_option(filtration, Filtration, "filtration")
    checked_option(frame, Frame, "frame")
    checked = checked_image(image)
    w = load_keys([checked], filtration, frame, ["image"])
    endpoints = call(intervals_of_image, w.keys.dtype.name, *_framed(checked, frame), w)
    return _barcode(checked, endpoints, filtration, frame)


def betti_matching(
    pred: ArrayLike,
    gt: ArrayLike,
    *,
    filtration: Filtration = "superlevel",
    frame: Frame = "none",
    essential: Essential = "omit",
) -> BettiMatching:
    """Match the barcodes of two images through their comparison image (Stucki et al., ICML 2023).

    The comparison image is the union of both: the pointwise maximum (superlevel) or minimum (sublevel). Ties are broken
    as in the authors' C++ implementation, Betti-Matching-3D: by (value, row, column, type of edge).

    Args:
        pred: ``(H, W)`` prediction: probabilities or a mask.
        gt: ``(H, W)`` label of the same shape.
        filtration: see `barcode`.
        frame: see `barcode`; each image is framed by its own values. ``own-max`` is the paper's ``relative=True``.
        essential: ``omit`` leaves out the essential classes of dimension 0 (as in the C++ implementation); ``match``
            matches them with each other, with deaths at 0 (as in the Python implementation).

    Returns:
        The matching. For the paper's Betti matching error pass masks (thresholded at 0.5) and read ``.error``.

    Raises:
        InvalidInput: see `barcode`; different shapes.

    Example:
        >>> from wsss.topology import betti_matching
        >>> betti_matching([[1, 0, 1]], [[1, 1, 1]]).error
        1
    """
    checked_option(filtration, Filtration, "filtration")
    checked_option(frame, Frame, "frame")
    checked_option(essential, Essential, "essential")
    return _match(checked_image(pred, "pred"), checked_image(gt, "gt"), filtration, frame, essential)


class Images(Protocol):
    """Several images: a list of arrays, or an array or CPU tensor ``(B, H, W)``."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...


def betti_matching_batch(
    preds: Images,
    gts: Images,
    *,
    threads: int | None = None,
    filtration: Filtration = "superlevel",
    frame: Frame = "none",
    essential: Essential = "omit",
) -> list[BettiMatching]:
    """Match many pairs of images in parallel; the kernels release the GIL.

    Args:
        preds: ``(B, H, W)``, or a sequence of images; shapes may differ between pairs.
        gts: the same number of labels.
        threads: number of pairs matched in parallel; by default one per processor.
        filtration: see `barcode`.
        frame: see `barcode`.
        essential: see `betti_matching`.

    Returns:
        One matching per pair, in order; the results do not depend on ``threads``.

    Raises:
        InvalidInput: see `betti_matching`; the subject is the first invalid image. Different numbers of images, or
            ``threads`` below 1.

    Example:
        >>> from wsss.topology import betti_matching_batch
        >>> [matching.error for matching in betti_matching_batch([[[1, 0, 1]]] * 2, [[[1, 1, 1]]] * 2)]
        [1, 1]
    """
    checked_option(filtration, Filtration, "filtration")
    checked_option(frame, Frame, "frame")
    checked_option(essential, Essential, "essential")
    if len(preds) != len(gts):
        raise InvalidInput(
            subject="gts", found=Verbatim(f"{len(gts)} labels"), allowed=f"one per prediction ({len(preds)})"
        )
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
    require_one_shape(pred, gt, f"{pred_name} and {gt_name}")
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


def _barcode(image: Image, endpoints: Endpoints, filtration: Filtration, frame: Frame) -> Barcode:
    """Convert indices of the padded layout to values and indices of the image."""
    padded, components = endpoints
    substitute = NO_PIXEL
    if frame == "own-max":
        substitute = int(image.argmax() if filtration == "superlevel" else image.argmin())
    indices, values = np.empty(padded.size, np.int64), np.empty(padded.size)
    call(locate, image.dtype.name, padded, image, 0 if frame == "none" else 1, substitute, indices, values)
    return Barcode(values, indices, components, image.shape[1], -np.inf if filtration == "superlevel" else np.inf)
