"""Gradients of class scores with respect to feature maps or images, one class of each image at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from wsss.models.attribution.config import Layer
from wsss.models.classifier import CAMClassifier


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Keep a block from computing gradients of the parameters; which of them learn is put back afterwards."""
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def class_slots(wanted: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield images and one wanted class of each: first every image's first class, then every second one, and so on.

    So at most as many images are worked on together as there are, however many classes each has.

    Args:
        wanted: ``(N, K)`` booleans.

    Yields:
        Rows and columns of ``wanted``, both ``(n,)`` with n ≤ N; each true element once, rows ascending.
    """
    rank = wanted.cumsum(1)
    for slot in range(1, int(rank[:, -1].max()) + 1 if wanted.numel() else 1):
        rows, classes = (wanted & (rank == slot)).nonzero(as_tuple=True)
        yield rows, classes


def layer_stride(classifier: CAMClassifier, layer: Layer) -> int:
    """Return the pixels of the image per element of a layer; element i is centred on pixel ``stride·i``."""
    return classifier.backbone.output_stride if layer == "features" else classifier.backbone.low_stride


class LayerGradients:
    """Feature maps of chosen layers, and the gradients of class scores with respect to them.

    Where the head is applied several times (behind two samplers whose maps are merged), the channels of all its inputs
    together are the layer's. Nothing below the lowest layer that is asked for enters autograd's graph.

    Args:
        classifier: in evaluation mode, its parameters `frozen`.
        batch: ``(N, 3, H, W)`` uint8 or floats in [0, 1].
        layers: which.
    """

    def __init__(self, classifier: CAMClassifier, batch: Tensor, layers: Sequence[Layer]) -> None:
        self._nodes: dict[Layer, list[Tensor]] = {layer: [] for layer in layers}

        def keep(layer: Layer, found: Tensor) -> Tensor:
            node = found if found.requires_grad else found.detach().requires_grad_()
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
        """Return per layer the gradients ``(n, C, h, w)`` of n images' scores, each with respect to its own features.

        Args:
            rows, classes: ``(n,)`` images (each at most once) and the class of each.
        """
        with torch.enable_grad():
            score = self._scores[rows, classes].sum()
        every = [node for nodes in self._nodes.values() for node in nodes]
        gradients = iter(torch.autograd.grad(score, every, retain_graph=True, materialize_grads=True))
        return tuple(torch.cat([next(gradients)[rows] for _ in nodes], 1) for nodes in self._nodes.values())
