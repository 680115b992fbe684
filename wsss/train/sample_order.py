"""Which image is seen when, and with which augmentation: a pure function of (seed, epoch, step, process).

Nothing here has a state, so a run that is resumed in the middle of an epoch goes on exactly where it stood.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

STEP_ROWS = 20
"""Rows of the history of a run whose length is counted in steps, at most."""

Item = tuple[int, int]
"""(index of the image, seed of its augmentation)."""


def derive_seed(*parts: int | str) -> int:
    """Return a seed in 0 … 2³² − 1 that depends on all parts, and is unrelated for unequal ones."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:4], "little")


@dataclass(frozen=True)
class Plan:
    """The batches of a training run.

    Each epoch is a new permutation of the images. All batches are full: an epoch's last one is filled up with images
    from the start of its permutation (augmented differently), so that a dataset of a single image trains, too, and no
    normalisation layer ever sees a batch of another size.

    Args:
        images: number of training images.
        batch_size: images per process and forward pass.
        accumulate: forward passes per optimiser step.
        epochs: passes over the images, or ``None`` where ``total`` counts.
        seed: of permutations and augmentation.
        rank, ranks: this process, and how many there are; they share each step's images.
        total: optimiser steps in all, instead of epochs; the last epoch may end early.
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
        """Optimiser steps in an epoch."""
        return -(-self.images // self.effective_batch)

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        if self.epochs is not None:
            return self.steps_per_epoch * self.epochs
        assert self.total is not None, "either epochs or total"
        return self.total

    @property
    def steps_per_row(self) -> int:
        """Optimiser steps per row of the history: an epoch, or a twentieth of all where steps are counted."""
        return self.steps_per_epoch if self.epochs is not None else -(-self.steps // STEP_ROWS)

    @property
    def effective_batch(self) -> int:
        """Images per optimiser step, of all processes: the effective batch."""
        return self.batch_size * self.accumulate * self.ranks

    def permutation(self, epoch: int) -> list[int]:
        """Return the order of the images in an epoch."""
        generator = np.random.default_rng(derive_seed("permutation", self.seed, epoch))
        return [int(index) for index in generator.permutation(self.images)]

    def batches(self, start: int = 0) -> Iterator[list[Item]]:
        """Yield this process's batches from optimiser step ``start`` on, ``accumulate`` of them per step."""
        for epoch in range(start // self.steps_per_epoch, -(-self.steps // self.steps_per_epoch)):
            order = self.permutation(epoch)
            before = epoch * self.steps_per_epoch
            first = start - before if before < start else 0
            for step in range(first, min(self.steps_per_epoch, self.steps - before)):
                for part in range(self.accumulate):
                    offset = step * self.effective_batch + (part * self.ranks + self.rank) * self.batch_size
                    yield [self._item(epoch, order, offset + place) for place in range(self.batch_size)]

    def _item(self, epoch: int, order: list[int], position: int) -> Item:
        repeat, place = divmod(position, len(order))
        index = order[place]
        return index, derive_seed("augmentation", self.seed, epoch, index, repeat)
