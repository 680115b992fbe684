"""Order and augmentation of images: pure functions of (seed, epoch, step, process).

There is no state, so that a run can resume exactly in the middle of an epoch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

STEP_ROWS = 20
"""Maximum number of rows in the history of a run whose length is set in steps."""

Item = tuple[int, int]
"""(image index, augmentation seed)."""


def derive_seed(*parts: int | str) -> int:
    """Return a hash of all parts as a seed in 0 … 2³² − 1."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:4], "little")


@dataclass(frozen=True)
class Plan:
    """The batches of a training run.

    Each epoch is a new permutation of the images. All batches have the same size: an epoch's last one is filled with
    images from the start of its permutation (augmented differently). This also allows datasets of a single image.

    Args:
        batch_size: images per process and forward pass.
        accumulate: forward passes per optimiser step.
        epochs: passes over the images, or ``None`` if ``total`` is set.
        seed: random seed of permutations and augmentation.
        rank, ranks: index of this process, and number of processes; each step's images are divided among them.
        total: total number of optimiser steps, instead of epochs; the last epoch may end early.
    """

    images: int
    batch_size: int
    accumulate: int
    epochs: int | None
    seed: int
    rank: int = 0
    ranks: int = 1
    total: int | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps per epoch."""
        return -(-self.images // self.effective_batch)

    @property
    def steps(self) -> int:
        """Total number of optimiser steps."""
        if self.epochs is not None:
            return self.steps_per_epoch * self.epochs
        assert self.total is not None, "epochs or total is set"
        return self.total

    @property
    def steps_per_row(self) -> int:
        """Optimiser steps per row of the history: an epoch, or a twentieth of all steps."""
        return self.steps_per_epoch if self.epochs is not None else -(-self.steps // STEP_ROWS)

    @property
    def effective_batch(self) -> int:
        """Images per optimiser step, over all processes."""
        return self.batch_size * self.accumulate * self.ranks

    def permutation(self, epoch: int) -> list[int]:
        """Return the order of the images in an epoch."""
        generator = np.random.default_rng(derive_seed("permutation", self.seed, epoch))
        return [int(index) for index in generator.permutation(self.images)]

    def batches(self, start: int = 0) -> Iterator[list[Item]]:
        """Yield the batches of this process from optimiser step ``start`` on, ``accumulate`` per step."""
        for epoch in range(start // self.steps_per_epoch, -(-self.steps // self.steps_per_epoch)):
            order = self.permutation(epoch)
            before = epoch * self.steps_per_epoch
            first = start - before if before < start else 0
            for step in range(first, min(self.steps_per_epoch, self.steps - before)):
                for part in range(self.accumulate):
                    offset = step * self.effective_batch + (part * self.ranks + self.rank) * self.batch_size
                    yield [self._item(epoch, order, offset + number) for number in range(self.batch_size)]

    def _item(self, epoch: int, order: list[int], position: int) -> Item:
        repeat, position = divmod(position, len(order))
        index = order[position]
        return index, derive_seed("augmentation", self.seed, epoch, index, repeat)
