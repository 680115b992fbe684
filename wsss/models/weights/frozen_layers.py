"""Layers of a trunk that keep their initial weights: no gradients are computed for them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from wsss.errors import InvalidInput
from wsss.models.trunk import Trunk

SUBJECT = "backbone.freeze_to_stride"
HINT = f"Remove {SUBJECT}: all layers are then trained."


def freeze_to_stride(trunk: Trunk, stride: int, name: str) -> None:
    """Freeze all layers up to the first features of a stride, in place.

    Args:
        stride: pixels per feature, such as 4: the stem and the first stage of a ResNet.
        name: the network, for errors.

    Raises:
        InvalidInput: the network has no features of this stride, or they are not the output of one of its layers.
    """
    strides = [level.stride for level in trunk.levels]
    if stride not in strides:
        raise InvalidInput(
            f"{name} has no features of this stride, but of {', '.join(map(str, sorted(set(strides))))}",
            subject=SUBJECT,
            found=stride,
            allowed=" or ".join([*(str(each) for each in (4, 8) if each in strides), "null"]),
            hint=HINT,
        )
    calls: list[tuple[nn.Module, Tensor]] = []

    def record(module: nn.Module, inputs: Any, output: Tensor) -> None:
        calls.append((module, output))

    training = trunk.training
    side = 2 * max(strides)
    with ExitStack() as hooks, torch.no_grad():
        for module in trunk.modules():
            hooks.callback(module.register_forward_hook(record).remove)
        pixels = torch.zeros(1, 3, side, side, device=next(trunk.parameters()).device)
        features = trunk.eval().features(pixels)[strides.index(stride)]
    trunk.train(training)
    ends = [index for index, (_, output) in enumerate(calls) if output is features]
    if not ends:
        raise InvalidInput(
            f"the features of {name} at this stride are not the output of one of its layers",
            subject=SUBJECT,
            found=stride,
            allowed="null",
            hint=HINT,
        )
    for module, _ in calls[: ends[-1] + 1]:  # a layer is recorded when it returns, after the layers inside it
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(False)
