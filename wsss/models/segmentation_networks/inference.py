"""Class probabilities of whole images, averaged over scales and mirror images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from wsss.data.image_transforms.resizing import resize
from wsss.errors import InvalidInput
from wsss.io.rasters.working_size import reduction


@torch.no_grad()
def class_probabilities(
    segmenter: nn.Module,
    images: NDArray[np.uint8],
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    max_side: int | None = None,
) -> Tensor:
    """Return softmax probabilities at full size, averaged over scales and mirror images.

    Args:
        segmenter: images ``(B, 3, H, W)`` uint8 → logits ``(B, C, H, W)``; in evaluation mode. The images are moved to
            its device.
        images: ``(B, H, W, 3)`` uint8 RGB.
        max_side: maximum side length in pixels; larger images are downscaled before scaling.

    Returns:
        ``(B, C, H, W)`` float32, in [0, 1].
    """
    size = images.shape[1:3]
    total: Tensor | None = None
    for probabilities in view_probabilities(segmenter, images, scales=scales, flip=flip, max_side=max_side):
        if probabilities.shape[2:] != size:
            probabilities = F.interpolate(probabilities, size, mode="bilinear", align_corners=False)
        total = probabilities if total is None else total + probabilities
    assert total is not None, "at least one scale"
    return total / (len(scales) * (2 if flip else 1))


def require_finite(values: Tensor, what: str) -> None:
    """Require finite outputs: the argmax of NaN would be class 0, the background.

    Args:
        what: its name in the error.

    Raises:
        InvalidInput: a value is NaN or infinite.
    """
    _require(values.isfinite(), what)


def _require(finite: Tensor, what: str) -> None:
    if not finite.all():
        raise InvalidInput(
            f"the network's {what} are not finite (NaN or infinity): its weights overflow on this image",
            hint="Train the network again, with a lower learning rate.",
        )


@torch.no_grad()
def view_probabilities(
    segmenter: nn.Module, images: NDArray[np.uint8], *, scales: Sequence[float], flip: bool, max_side: int | None
) -> Iterator[Tensor]:
    """Yield the probabilities ``(B, C, h, w)`` at every scale, with ``flip`` each followed by the mirror image's.

    Args:
        segmenter, images, scales, flip, max_side: see `class_probabilities`.

    Raises:
        InvalidInput: see `require_finite`; after the last view.
    """
    device = next(segmenter.parameters()).device
    height, width = images.shape[1:3]
    finite: list[Tensor] = []
    fit = reduction((height, width), max_side)
    for scale in scales:
        size = max(1, round(height * fit * scale)), max(1, round(width * fit * scale))
        scaled = images if size == (height, width) else np.stack([resize(image, size) for image in images])
        batch = torch.from_numpy(scaled).to(device).permute(0, 3, 1, 2)
        for mirrored in (False, True) if flip else (False,):
            logits = segmenter(batch.flip(3) if mirrored else batch)
            finite.append(logits.isfinite().all())
            probabilities = logits.float().softmax(1)
            yield probabilities.flip(3) if mirrored else probabilities
    _require(torch.stack(finite), "logits")  # at the end, since every check waits for the device
