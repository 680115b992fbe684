"""Pictures for TensorBoard: predictions on the same few examples after every row of the history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wsss.data.classes import Classes
from wsss.models.classifier import CAMClassifier
from wsss.train.training_job import Examples
from wsss.viz.drawing.heatmap import heat_overlay
from wsss.viz.drawing.overlay import overlay
from wsss.viz.drawing.palette import class_colours

COUNT = 4
"""Number of examples: the first ones of the training split, always with the same augmentation."""

Pictures = Callable[[], Mapping[str, NDArray[np.uint8]]]


def segmentation_pictures(model: nn.Module, examples: Examples, classes: Classes) -> Pictures:
    """Return a function that draws examples with their targets and current predictions.

    Args:
        model: images ``(B, 3, H, W)`` → logits ``(B, C, H, W)`` in evaluation mode.
        examples: image ``(3, H, W)`` uint8, and target: classes ``(H, W)`` or probabilities ``(C, H, W)``.
        classes: define the colours.

    Returns:
        A function without arguments that returns name → ``(H, 3 · W, 3)`` uint8: image, target, prediction.
    """
    colours = class_colours(classes)

    def draw(image: NDArray[np.uint8], batch: Sequence[Tensor]) -> NDArray[np.uint8]:
        target = batch[1][0]
        target = target if target.ndim == 2 else target.argmax(0)
        prediction = model(batch[0]).argmax(1)[0]
        masks = [mask.cpu().numpy().astype(np.uint8) for mask in (target, prediction)]
        return np.hstack([image, *(overlay(image, mask, colours) for mask in masks)])

    return _drawn(model, examples, draw)


def map_pictures(model: CAMClassifier, examples: Examples) -> Pictures:
    """Return a function that draws examples with the class maps of up to three of their labels.

    Args:
        examples: image ``(3, H, W)`` uint8, labels ``(K,)``, and for tiles the statistics of the image.

    Returns:
        A function without arguments that returns name → ``(H, 4 · W, 3)`` uint8: image, then a map per label, its
        positive part divided by its maximum.
    """

    def draw(image: NDArray[np.uint8], batch: Sequence[Tensor]) -> NDArray[np.uint8]:
        maps = model.maps(model.features(batch[0], *batch[2:]))[0].relu()
        labels = (batch[1][0] > 0).nonzero().flatten().tolist()[:3]
        strip = [image, *(heat_overlay(image, _scaled(maps[label])) for label in labels)]
        return np.hstack([*strip, *[np.zeros_like(image)] * (4 - len(strip))])

    return _drawn(model, examples, draw)


def _scaled(values: Tensor) -> NDArray[np.float32]:
    return (values / values.max().clamp(min=1e-6)).float().cpu().numpy()


def _drawn(
    model: nn.Module, examples: Examples, draw: Callable[[NDArray[np.uint8], Sequence[Tensor]], NDArray[np.uint8]]
) -> Pictures:
    def pictures() -> dict[str, NDArray[np.uint8]]:
        device = next(model.parameters()).device
        model.eval()
        drawn = {}
        with torch.no_grad():
            for index in range(min(COUNT, len(examples))):
                batch = [part[None].to(device) for part in examples[index, 0]]
                image = np.ascontiguousarray(batch[0][0].permute(1, 2, 0).cpu().numpy())
                drawn[f"example {index}"] = draw(image, batch)
        return drawn

    return pictures
