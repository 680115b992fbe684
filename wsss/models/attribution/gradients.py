"""Gradients of class scores with respect to feature maps, for one class per image at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from wsss.models.classifier import CAMClassifier
from wsss.models.config import Layer


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Disable gradients of all parameters within the block."""
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def class_slots(selected: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield images with one selected class each: first the first class of every image, then its second, and so on.

    The working batch is thus never larger than the number of images, however many classes each has.

    Args:
        selected: ``(N, K)`` booleans.

    Yields:
        Rows and columns of ``selected``, both ``(n,)`` with n ≤ N; each true element once, rows ascending.
    """
    rank = selected.cumsum(1)
    for slot in range(1, int(rank[:, -1].max()) + 1 if selected.numel() else 1):
        rows, classes = (selected & (rank == slot)).nonzero(as_tuple=True)
        yield rows, classes


def layer_stride(classifier: CAMClassifier, layer: Layer) -> int:
    """Return the pixels of the image per element of a layer."""
    return classifier.backbone.output_stride if layer == "features" else classifier.backbone.low_stride


def layer_offset(classifier: CAMClassifier, layer: Layer) -> float:
    """Return the pixel of the image on which element 0 of a layer is centred; see `wsss.models.trunk.Level`."""
    return classifier.backbone.output_offset if layer == "features" else classifier.backbone.low_offset


class LayerGradients:
    """Feature maps of some layers, and the gradients of class scores with respect to them.

    If the head is applied several times (after two samplers whose maps are merged), the channels of all its inputs
    form the layer. Nothing below the lowest layer enters the autograd graph.

    Args:
        classifier: in evaluation mode, its parameters `frozen`.
        batch: ``(N, 3, H, W)`` uint8 or floats in [0, 1].

    Attributes:
        features: per layer, ``(N, C, h, w)``.
    """

    def __init__(self, classifier: CAMClassifier, batch: Tensor, layers: Sequence[Layer]) -> None:
        self._nodes: dict[Layer, list[Tensor]] = {layer: [] for layer in layers}

        def keep(layer: Layer, features: Tensor) -> Tensor:
            node = features if features.requires_grad else features.detach().requires_grad_()
            self._nodes[layer].append(node)
            return node

        def low(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
            return keep("low", output)

        def head(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
            return (keep("features", inputs[0]),)

        with ExitStack() as hooks, torch.enable_grad():
            if "low" in layers:
                hooks.callback(classifier.backbone.low.register_forward_hook(low).remove)
            if "features" in layers:
                hooks.callback(classifier.head.register_forward_pre_hook(head).remove)
            self._scores = classifier.pooling(classifier.maps(classifier.features(batch)))
        self.features = tuple(torch.cat(nodes, 1).detach() for nodes in self._nodes.values())

    def of(self, rows: Tensor, classes: Tensor) -> tuple[Tensor, ...]:
        """Return, per layer, the gradients ``(n, C, h, w)`` of n scores with respect to their own image's features.

        Args:
            rows: ``(n,)`` distinct images.
            classes: ``(n,)`` the class of each.
        """
        with torch.enable_grad():
            score = self._scores[rows, classes].sum()
        every = [node for nodes in self._nodes.values() for node in nodes]
        gradients = iter(torch.autograd.grad(score, every, retain_graph=True, materialize_grads=True))
        return tuple(torch.cat([next(gradients)[rows] for _ in nodes], 1) for nodes in self._nodes.values())
