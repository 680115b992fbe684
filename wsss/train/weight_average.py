"""Exponential moving average of a network's weights over the steps of its training.

Tarvainen & Valpola (Mean Teacher, NeurIPS 2017), with the initial decay of the authors' code; compare Polyak &
Juditsky (1992).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """The average ``a ← d·a + (1 − d)·w`` of all parameters and buffers of a network.

    ``d = min(decay, 1 − 1/(step + 1))``: at first the plain mean over the initial weights and those after every step,
    so that the initial weights do not dominate.

    Floating-point buffers, such as BatchNorm's running statistics, are averaged like parameters; other buffers, such as
    its number of batches, are copied. A frozen tensor keeps its value exactly.

    Args:
        model: the network, on its device; the average starts from its current weights.
        decay: in (0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model, self._decay = model, decay
        self._average = {name: value.clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Include the current weights.

        Args:
            step: number of optimiser steps taken, at least 1.
        """
        decay = min(self._decay, 1 - 1 / (step + 1))
        for name, value in self._model.state_dict().items():
            average = self._average[name]
            if value.is_floating_point():
                average.lerp_(value, 1 - decay)
            else:
                average.copy_(value)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the average, with the names of the network's state dict."""
        return dict(self._average)

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Replace the average in place, which keeps the memory format of the network."""
        for name, average in self._average.items():
            average.copy_(state[name])

    def apply(self) -> None:
        """Replace the weights of the network by their average."""
        self._model.load_state_dict(self._average)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Replace the weights of the network by their average within a ``with`` block."""
        own = {name: value.clone() for name, value in self._model.state_dict().items()}
        self.apply()
        try:
            yield
        finally:
            self._model.load_state_dict(own)
