"""Maps of whole images from a CLIP model, after CLIP-ES (Lin et al., CVPR 2023): scales, attention, resampling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsss.data.image_transforms.resizing import resize
from wsss.io.rasters.working_size import reduction, scaled_size
from wsss.models.attribution.multiscale_cam import Frame, Grid, Total, normalise
from wsss.models.clip.clip_config import ClassAwareAttention
from wsss.models.clip.clip_network import ClipNetwork
from wsss.refine.attention_walk import class_aware_walk


def clip_maps(
    network: ClipNetwork,
    image: NDArray[np.uint8],
    texts: Tensor,
    classes: int,
    *,
    scales: Sequence[float],
    flip: bool,
    stride: int,
    max_side: int,
    attention: ClassAwareAttention | None,
) -> Tensor:
    """Compute the maps of an image: the sum over views of maps that are each scaled to [0, 1].

    Every view is stretched to multiples of the patch, by less than a patch. A map is scaled before and after its
    refinement, by subtracting its minimum: since every patch attends to every other, refined maps are nowhere 0.

    Args:
        network: its device is used.
        image: ``(H, W, 3)`` uint8 RGB.
        texts, classes: see `ClipNetwork.gradient_maps`.
        scales: scale factors of the image.
        flip: also use mirror images.
        stride: pixels of the image per element of a map.
        max_side: maximum side length in pixels, at scale 1; larger images are downscaled for the network only.
        attention: refinement of every view's maps; ``None``: none.

    Returns:
        ``(K, h, w)`` ≥ 0, not normalised; on the CPU.
    """
    total, patch = Total(Grid((image.shape[0], image.shape[1]), stride)), network.patch
    blocks = 0 if attention is None else attention.blocks
    for scale in scales:
        size = view_size(image.shape[:2], scale, max_side, patch)
        pixels = torch.from_numpy(resize(image, size)).permute(2, 0, 1)
        for mirrored in (False, True) if flip else (False,):
            view = (pixels.flip(2) if mirrored else pixels).to(network.device)
            raw = network.gradient_maps(view, texts, classes, blocks)
            maps = normalise(raw.maps, "minmax").cpu()
            if attention is not None:
                walked = class_aware_walk(
                    maps.numpy(),
                    raw.attention.cpu().numpy(),
                    rounds=attention.rounds,
                    steps=attention.steps,
                    box_threshold=attention.box_threshold,
                )
                maps = normalise(torch.from_numpy(walked), "minmax")
            total.add(maps[None], Frame(size, (mirrored,)), patch, (patch - 1) / 2)
    return total.maps[0]


def view_size(size: Sequence[int], scale: float, max_side: int, patch: int) -> tuple[int, int]:
    """Return height and width of a view of an image of a size: scaled, then rounded up to multiples of the patch."""
    height, width = scaled_size(size, reduction(size, max_side) * scale)
    return -(-height // patch) * patch, -(-width // patch) * patch
