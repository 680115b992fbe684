"""Losses of training steps that are still on the device.

Fetching a loss from a GPU waits until the GPU has computed it, and leaves the GPU idle until new work arrives. Losses
are therefore fetched together, after several steps; on a CPU after every step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

GPU_STEPS = 16
"""Number of steps on a GPU after which losses are fetched."""


def steps_between_fetches(device: str) -> int:
    """Return the number of steps after which losses are fetched from ``"cpu"`` or ``"cuda"``."""
    return 1 if device == "cpu" else GPU_STEPS


class StepLoss(NamedTuple):
    """Loss of one optimiser step (counted from 1), and the learning rate after it."""

    step: int
    loss: float
    rate: float


@dataclass
class StepLosses:
    """Losses of the steps since the last fetch."""

    steps: list[tuple[int, float]] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)

    def add(self, step: int, loss: Tensor, rate: float) -> None:
        """Add the scalar loss of a step without waiting for its value."""
        self.steps.append((step, rate))
        self.losses.append(loss)

    def fetch(self) -> list[StepLoss]:
        """Return and forget all losses, in one transfer."""
        values = torch.stack(self.losses).tolist() if self.losses else []
        fetched = [StepLoss(step, value, rate) for (step, rate), value in zip(self.steps, values, strict=True)]
        self.steps.clear()
        self.losses.clear()
        return fetched
