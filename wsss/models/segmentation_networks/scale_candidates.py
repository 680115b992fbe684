"""Masks of one image at several sets of scales, from one prediction per scale, within bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wsss.models.segmentation_networks.blockwise_prediction import BAND, upsampled
from wsss.models.segmentation_networks.inference import view_probabilities


@torch.no_grad()
def candidate_bands(
    segmenter: nn.Module,
    image: NDArray[np.uint8],
    candidates: Sequence[tuple[float, ...]],
    *,
    flip: bool = False,
    max_side: int | None = None,
) -> Iterator[tuple[slice, list[NDArray[np.uint8]]]]:
    """Yield bands of rows with the most probable classes ``(rows, W)`` uint8 at the scales of every candidate.

    The probabilities of each scale are kept at its own size, and upsampled a few rows at a time, as in
    `wsss.models.segmentation_networks.blockwise_prediction`: at full size, those of a photograph of 24 megapixels with
    21 classes would take 2 GB per scale.

    Args:
        segmenter, flip, max_side: see `wsss.models.segmentation_networks.inference.class_probabilities`.
        image: ``(H, W, 3)`` uint8 RGB.
        candidates: sets of scales over which probabilities are averaged.

    Raises:
        InvalidInput: the logits are not finite.
    """
    scales = sorted({scale for candidate in candidates for scale in candidate})
    kept: list[Tensor] = []
    views = view_probabilities(segmenter, image[None], scales=scales, flip=flip, max_side=max_side)
    for index, view in enumerate(views):
        if flip and index % 2:
            kept[-1] += view  # of the mirror image; both can be upsampled together, since upsampling is linear
        else:
            kept.append(view)
    size = (image.shape[0], image.shape[1])
    for top in range(0, size[0], BAND):
        rows = slice(top, min(top + BAND, size[0]))
        each = {scale: upsampled(view, size, rows) for scale, view in zip(scales, kept, strict=True)}
        yield rows, [_most_probable([each[scale] for scale in candidate]) for candidate in candidates]


def _most_probable(probabilities: Sequence[Tensor]) -> NDArray[np.uint8]:
    total = sum(probabilities[1:], probabilities[0])
    return np.asarray(total.argmax(1)[0].to(torch.uint8).cpu().numpy())
