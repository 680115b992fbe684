"""Training of a tiny network, also as a program that tests can kill.

``python toytraining.py OUT [KILL_AT] [--average DECAY]``
"""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from learning import Run
from safetensors.torch import save_file
from torch import Tensor, nn

from wsss.train.config import TrainConfig
from wsss.train.loop import TrainingJob, fit
from wsss.train.optim import trunk_and_head

CONFIG: dict[str, Any] = {"epochs": 3, "batch_size": 2, "checkpoint_steps": 2, "checkpoint_every": 1000.0}


class Toy(nn.Module):
    """A network with batch normalisation and dropout, which have states of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.dropout(self.backbone(images.float() / 255).mean((2, 3))))
        return logits


class EvenToy(Toy):
    """A network in which each image is processed by itself, in the same way in every process."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone[1], self.dropout = nn.GroupNorm(2, 4), nn.Dropout(0)


class ToyExamples:
    """Seven images that depend on their index and the augmentation seed."""

    def __init__(self, count: int = 7) -> None:
        self.count = count
        self.seen: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, item: tuple[int, int]) -> tuple[Tensor, Tensor]:
        self.seen.append(item)
        index, seed = item
        generator = torch.Generator().manual_seed(seed)
        image = torch.randint(0, 256, (3, 6, 6), dtype=torch.uint8, generator=generator)
        return image, torch.tensor([float(index % 2), float(index % 3 == 0)])


class Interrupted(Exception):
    """Simulates a process that ends in the middle of a step."""


def interrupt() -> None:
    """Raise `Interrupted`."""
    raise Interrupted


def toy_loss(after: int | None = None, stop: Callable[[], None] | None = None) -> Callable[..., Tensor]:
    """Return a loss that calls ``stop`` when it is computed for the ``after``-th time."""
    calls = 0

    def loss(model: nn.Module, batch: Sequence[Tensor]) -> Tensor:
        nonlocal calls
        calls += 1
        if stop is not None and calls == after:
            stop()
        images, labels = batch
        return nn.functional.binary_cross_entropy_with_logits(model(images), labels)

    return loss


def train(
    out: Path,
    *,
    run: Run | None = None,
    examples: ToyExamples | None = None,
    after: int | None = None,
    stop: Callable[[], None] | None = None,
    validate: bool = True,
    loss: Callable[..., Tensor] | None = None,
    pictures: Callable[[], Any] | None = None,
    network: type[Toy] = Toy,
    average_decay: float | None = None,
    **keys: Any,
) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    """Train the toy network in ``out``; return its weights and the history."""
    torch.manual_seed(11)
    model = network()
    config = TrainConfig.model_validate({**CONFIG, **keys})

    def score() -> dict[str, float]:
        with torch.no_grad():
            return {"val": float(model(torch.full((1, 3, 6, 6), 99)).sum())}

    job = TrainingJob(
        name="toy",
        model=model,
        groups=trunk_and_head(model, config.optimiser),
        examples=examples or ToyExamples(),
        loss=loss or toy_loss(after, stop),
        validate=score if validate else None,
        pictures=pictures,
        average_decay=average_decay,
    )
    history = fit(job, config, run or Run(out))
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}, history


def interrupted(out: Path, *, after: int = 7, **keys: Any) -> Path:
    """Train until the ``after``-th loss; return the checkpoint (by default of the sixth step of twelve)."""
    with suppress(Interrupted):
        train(out, after=after, stop=interrupt, **keys)
        raise AssertionError("the run was not interrupted")
    return out / "checkpoint.pt"


def same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    """Return whether two state dicts are equal."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def check_resumed(folder: Path, afters: Sequence[int], **keys: Any) -> list[dict[str, float]]:
    """Require runs that were interrupted after some losses to end as one that was not; return its history."""
    weights, history = train(folder / "uninterrupted", **keys)
    for after in afters:
        resumed = folder / f"resumed{after}"
        interrupted(resumed, after=after, **keys)
        resumed_weights, resumed_history = train(resumed, **keys)
        assert same(weights, resumed_weights)
        assert resumed_history == history
        assert (resumed / "history.csv").read_bytes() == (folder / "uninterrupted/history.csv").read_bytes()
    return history


def main() -> None:
    """Train, and kill this process while it computes the KILL_AT-th loss."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("kill_at", type=int, nargs="?")
    parser.add_argument("--average", type=float)
    options = parser.parse_args()
    torch.set_num_threads(1)
    weights, _ = train(
        options.out,
        after=options.kill_at,
        stop=lambda: os.kill(os.getpid(), signal.SIGKILL),
        average_decay=options.average,
    )
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, options.out / "weights.safetensors")


if __name__ == "__main__":
    main()
