"""A segmentation network together with the steps around it: pixels of a file in, mask out."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from wsss.data.classes import Classes
from wsss.models.segmentation_networks.segmenters import SegmentationNetwork

INPUT = "image"
OUTPUTS = ("mask", "probabilities")


class Deployed(nn.Module):
    """What `wsss predict` computes at a single scale, as one module.

    Args:
        network: in evaluation mode; it normalises images and resizes its logits to their size itself.
        classes: mask values of its classes.
    """

    values: Tensor

    def __init__(self, network: SegmentationNetwork, classes: Classes) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("values", torch.from_numpy(classes.decode(np.arange(len(classes), dtype=np.uint8))))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mask ``(H, W)`` uint8 and the probabilities ``(C, H, W)`` float32 of an image.

        Args:
            image: ``(H, W, 3)`` uint8 RGB.
        """
        probabilities = self.network(image.permute(2, 0, 1)[None]).float().softmax(1)[0]
        return self.values[probabilities.argmax(0)], probabilities
