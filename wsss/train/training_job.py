"""The interface of the training loop: what to train, and where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from wsss.train.optim import Group
from wsss.train.sample_order import Item

Batch = Sequence[Any]
"""Tensors, stacked over the examples, followed by what `TrainingJob.collate` adds."""


class Examples(Protocol):
    """Training examples: tensors by (index, augmentation seed)."""

    def __len__(self) -> int:
        """Return the number of images."""

    def __getitem__(self, item: Item) -> tuple[Tensor, ...]:
        """Return one example; all examples have tensors of the same shapes."""


class RunContext(Protocol):
    """The parts of a run that `wsss.train.loop.fit` needs; `wsss.pipeline.stage.Context` implements it."""

    @property
    def out(self) -> Path:
        """Folder for checkpoint, history and TensorBoard files."""

    @property
    def seed(self) -> int:
        """Seed of all random numbers."""

    @property
    def identity(self) -> str:
        """Hash of everything that the result depends on; checkpoints of another identity are not resumed."""

    @property
    def device(self) -> str:
        """``"cpu"`` or ``"cuda"``."""

    @property
    def precision(self) -> str | None:
        """Floating-point precision to compute in; ``None``: that of the config."""

    @property
    def workers(self) -> int:
        """Number of processes for CPU-bound work, half of which prepare batches. Results do not depend on it."""

    @property
    def progress(self) -> Any:
        """See `wsss.pipeline.stage.Progress`."""

    @property
    def ranks(self) -> Any:
        """See `wsss.pipeline.stage.Ranks`."""

    @property
    def log(self) -> Callable[[str], None]:
        """Print one line for the user."""


@dataclass(frozen=True)
class TrainingJob:
    """A network with its training data and loss.

    Args:
        name: label of the progress bar.
        model: the network, with its initial weights.
        groups: its parameters with their learning rates; see `wsss.train.optim`.
        loss: (network, batch) → scalar loss; must call the network that it is passed (a wrapped one under DDP).
        validate: called after each row of the history in one process; returns additional columns.
        begin_step: called before each optimiser step with its number, starting at 0, and the total number of steps.
        pictures: called after each row in one process; returns name → ``(H, W, 3)`` uint8 for TensorBoard.
        image_bytes: memory of the largest image with its target, if known.
        collate: makes a batch of a list of examples, in main memory; by default their tensors are stacked.
        average_decay: decay of a moving average of the weights, which replaces the weights at the end, and in
            ``validate`` and ``pictures``; see `wsss.train.weight_average`. ``None``: no average.
    """

    name: str
    model: nn.Module
    groups: Sequence[Group]
    examples: Examples
    loss: Callable[[nn.Module, Batch], Tensor]
    validate: Callable[[], Mapping[str, float]] | None = None
    begin_step: Callable[[int, int], None] | None = None
    pictures: Callable[[], Mapping[str, NDArray[np.uint8]]] | None = None
    image_bytes: int = 0
    collate: Callable[[list[tuple[Tensor, ...]]], Batch] | None = None
    average_decay: float | None = None
