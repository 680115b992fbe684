"""Class probabilities of whole images, over several scales and mirrored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from wsss.data.transforms import resize
from wsss.models.segmenters import SegmentationNetwork


@torch.no_grad()
def class_probabilities(
    segmenter: SegmentationNetwork,
    images: NDArray[np.uint8],
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    max_side: int | None = None,
) -> Tensor:
    """Return the mean of the softmax probabilities over scales and mirror images, at the images' own size.

    Args:
        segmenter: in evaluation mode; the images go to its device.
        images: ``(B, H, W, 3)`` uint8 RGB.
        scales: factors on the size of the image.
        flip: also use the mirror image.
        max_side: larger images are first made smaller, to this longer side (pixels).

    Returns:
        ``(B, C, H, W)`` float32, in [0, 1].
    """
    device = next(segmenter.parameters()).device
    height, width = images.shape[1:3]
    fit = min(1.0, max_side / max(height, width)) if max_side else 1.0
    total: Tensor | None = None
    for scale in scales:
        size = max(1, round(height * fit * scale)), max(1, round(width * fit * scale))
        scaled = images if size == (height, width) else np.stack([resize(image, size) for image in images])
        batch = torch.from_numpy(scaled).to(device).permute(0, 3, 1, 2)
        for mirrored in (False, True) if flip else (False,):
            logits = segmenter(batch.flip(3) if mirrored else batch)
            probabilities = logits.float().softmax(1)
            if mirrored:
                probabilities = probabilities.flip(3)
            if size != (height, width):
                probabilities = F.interpolate(probabilities, (height, width), mode="bilinear", align_corners=False)
            total = probabilities if total is None else total + probabilities
    assert total is not None, "at least one scale"
    return total / (len(scales) * (2 if flip else 1))
