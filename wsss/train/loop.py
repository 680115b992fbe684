"""The training loop, for every network of the package.

All that is random follows from (seed, step, process): the batches and their augmentation by `wsss.train.sample_order`,
and dropout and the like because every generator is seeded at every step. So a run that was interrupted at any moment
and resumed from its last checkpoint ends with the same weights as one that never was; on a CPU bit by bit.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from wsss.errors import RunFailed
from wsss.io.files.stage_files import CHECKPOINT
from wsss.io.process.cores import processes_here
from wsss.io.process.headroom import that_fit
from wsss.train import checkpoint as ckpt
from wsss.train.config import TrainConfig
from wsss.train.history import Scalars, write_history
from wsss.train.optim import Group, build_optimiser, build_schedule
from wsss.train.runtime import deterministic, seed_all
from wsss.train.sample_order import Item, Plan, derive_seed
from wsss.train.workers import begin_worker

Batch = Sequence[Tensor]

MOST_LOADERS = 8
"""Processes that prepare batches, at most."""

COPIES = 8
"""A process that prepares batches needs so many times the memory of an image: to decode, to scale and to crop it."""


class Examples(Protocol):
    """Training examples: tensors by (index, augmentation seed)."""

    def __len__(self) -> int:
        """Return the number of images."""

    def __getitem__(self, item: Item) -> tuple[Tensor, ...]:
        """Return one example; all examples have tensors of the same shapes."""


class Surroundings(Protocol):
    """What `fit` needs to know of the run; `wsss.pipeline.stage.Context` has it all."""

    @property
    def out(self) -> Path:
        """Folder for checkpoint, history and TensorBoard files."""

    @property
    def seed(self) -> int:
        """Seed of everything random."""

    @property
    def identity(self) -> str:
        """Hash of all that the training depends on; a checkpoint of another one isn't resumed."""

    @property
    def device(self) -> str:
        """``"cpu"`` or ``"cuda"``."""

    @property
    def workers(self) -> int:
        """Processes for CPU-bound work; half of them prepare batches. The result doesn't depend on it."""

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
class Job:
    """What to train.

    Args:
        name: shown beside the progress bar.
        model: the network, with its initial weights.
        groups: its parameters with their learning rates, see `wsss.train.optim`.
        examples: the training data.
        loss: (network, batch) → scalar loss; must call the network it is given (under DDP, a wrapped one).
        validate: called after each row of the history in one process, returns numbers for it.
        begin_step: called before each optimiser step with its number, from 0 on, and the number of all steps.
        pictures: called after each row in one process; what it draws, ``(H, W, 3)`` uint8, goes to TensorBoard.
        image_bytes: memory of the largest image with its target, where that is known.
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


def fit(job: Job, config: TrainConfig, run: Surroundings) -> list[dict[str, float]]:
    """Train ``job.model`` in place, from the checkpoint in ``run.out`` where there is one.

    The checkpoint stays: it may go only once the result is saved and recorded, which is for the caller to see to.

    Returns:
        The history: a row per epoch with ``epoch``, ``step``, ``lr``, ``train_loss`` (mean over the row's steps) and
        what ``job.validate`` returned. In ``history.csv``, too. Where the length is counted in steps there are up to
        twenty rows, and ``epoch`` has a fraction.

    Raises:
        RunFailed: the loss became NaN or infinite.
    """
    plan = Plan(
        len(job.examples),
        config.batch_size,
        config.accumulate,
        config.epochs,
        run.seed,
        run.ranks.rank,
        run.ranks.size,
        total=config.steps,
    )
    with deterministic(run.device, run.seed):
        return _Loop(job, config, run, plan).run()


class _Loop:
    def __init__(self, job: Job, config: TrainConfig, run: Surroundings, plan: Plan) -> None:
        self.job, self.config, self.surroundings, self.plan = job, config, run, plan
        self.fabric = build_fabric(config.precision, run)
        # Channels-last memory makes convolutions faster: 1.5× on a CPU, and on GPUs with mixed precision.
        job.model.to(memory_format=torch.channels_last)
        optimiser = build_optimiser(config.optimiser, job.groups)
        schedule = build_schedule(config.schedule, optimiser, plan.steps)
        self.model, self.optimiser = self.fabric.setup(job.model, optimiser)
        scaler = self.fabric.strategy.precision if config.precision == "16-mixed" else None
        self.trained = ckpt.Trained(
            job.model, optimiser, schedule, scaler, plan.ranks, plan.effective_batch, run.identity
        )
        self.path = run.out / CHECKPOINT
        self.state = ckpt.load_checkpoint(self.path, self.trained, run.log)
        self.leader = run.ranks.rank == 0

    def run(self) -> list[dict[str, float]]:
        """Train to the end."""
        run, plan, state = self.surroundings, self.plan, self.state
        run.ranks.barrier()  # every process has read the checkpoint before one writes the next
        self._agree()
        if self.leader and state.step:
            run.log(f"{run.out.name}: resumed at {self._position()}")
        advance = run.progress.track(self.job.name, plan.steps, state.step)
        scalars = Scalars(run.out / "tensorboard", state.step) if self.leader else None
        saved = time.monotonic()
        batches = iter(self._loader())
        try:
            while state.step < plan.steps:
                value = self._step(batches)
                state.loss_sum += value
                state.step += 1
                rate = float(self.trained.schedule.get_last_lr()[0])
                if scalars:
                    scalars.write({"loss/step": value, "lr": rate}, state.step)
                ended = state.step % plan.steps_per_row == 0 or state.step == plan.steps
                if ended:
                    self._end_row(rate, scalars)
                if ended or self._due(saved):
                    self._save()
                    saved = time.monotonic()
                if ended and self.leader:
                    write_history(run.out, state.history)
                advance(1)
        finally:
            if scalars:
                scalars.close()
        if self.leader:
            write_history(run.out, state.history)
        run.ranks.barrier()
        return state.history

    def _position(self) -> str:
        """Return how far the training is, in steps and epochs."""
        step, plan = self.state.step, self.plan
        if plan.epochs is None:
            return f"step {step}/{plan.steps}"
        return f"step {step}/{plan.steps}, epoch {step // plan.steps_per_epoch}/{plan.epochs}"

    def _agree(self) -> None:
        """Refuse to train on from different steps: one process may read a checkpoint that another can't.

        Raises:
            RunFailed: this process and the first have restored different steps.
        """
        first = int(self.surroundings.ranks.from_first(lambda: self.state.step))
        if first != self.state.step:
            raise RunFailed(
                f"{self.path}: process {self.plan.rank} would resume after step {self.state.step}, the first one after "
                f"step {first}: they read different checkpoints.",
                hint="See that all machines share this folder; deleting the checkpoint starts the training again.",
            )

    def _loader(self) -> DataLoader[Any]:
        workers = min(self.surroundings.workers // 2, MOST_LOADERS)  # the network needs cores, too
        if workers > 1:
            workers = that_fit(
                workers,
                COPIES * self.job.image_bytes,
                self.surroundings.log,
                f"{self.job.name}, processes that load images",
            )
        return DataLoader(
            cast("Dataset[Any]", self.job.examples),
            batch_sampler=cast("Iterable[list[Any]]", self.plan.batches(self.state.step)),
            num_workers=workers,
            worker_init_fn=begin_worker if workers else None,
            pin_memory=self.surroundings.device != "cpu",
        )

    def _step(self, batches: Any) -> float:
        """Make one optimiser step; return its loss (mean over processes)."""
        accumulate = self.config.accumulate
        seed_all(derive_seed("step", self.surroundings.seed, self.state.step, self.surroundings.ranks.rank))
        self.model.train()
        if self.job.begin_step:
            self.job.begin_step(self.state.step, self.plan.steps)
        total = torch.zeros((), device=self.fabric.device)
        for part in range(accumulate):
            batch = self.fabric.to_device(next(batches))
            with self.fabric.no_backward_sync(self.model, enabled=part < accumulate - 1):
                loss = self.job.loss(self.model, batch) / accumulate
                self.fabric.backward(loss)
            total += loss.detach()
        value = float(cast("Tensor", self.fabric.all_reduce(total, reduce_op="mean")))
        if not math.isfinite(value):
            self._explain(value)
        if self.config.clip_norm is not None:
            self.fabric.clip_gradients(
                self.model, self.optimiser, max_norm=self.config.clip_norm, error_if_nonfinite=False
            )
        self.optimiser.step()
        self.trained.schedule.step()
        self.optimiser.zero_grad(set_to_none=True)
        return value

    def _end_row(self, rate: float, scalars: Scalars | None) -> None:
        state, plan = self.state, self.plan
        in_epochs = plan.epochs is not None
        epoch = state.step // plan.steps_per_epoch if in_epochs else state.step / plan.steps_per_epoch
        steps = (state.step - 1) % plan.steps_per_row + 1  # the last row may be shorter
        row = {"epoch": epoch, "step": state.step, "lr": rate, "train_loss": state.loss_sum / steps}
        if self.leader and self.job.validate:
            self.job.model.eval()
            row |= self.job.validate()
        state.history.append(row)
        state.loss_sum = 0.0
        if scalars:
            values = {f"epoch/{name}": value for name, value in row.items() if name not in ("epoch", "step")}
            scalars.write(values, state.step)
            scalars.draw(self.job.pictures() if self.job.pictures else {}, state.step)
        shown = ", ".join(f"{name} {value:.4g}" for name, value in row.items() if name not in ("epoch", "step", "lr"))
        if self.leader:
            done = f"epoch {epoch}/{plan.epochs}" if in_epochs else f"step {state.step}/{plan.steps}"
            self.surroundings.log(f"{self.job.name}: {done}: {shown}")

    def _due(self, saved: float) -> bool:
        steps = self.config.checkpoint_steps
        return time.monotonic() - saved >= self.config.checkpoint_every or (
            steps is not None and self.state.step % steps == 0
        )

    def _save(self) -> None:
        if self.leader:
            ckpt.save_checkpoint(self.path, self.trained, self.state)

    def _explain(self, value: float) -> None:
        step = self.state.step
        raise RunFailed(
            f"{self.job.name}: the loss is {value} at step {step + 1} of {self.plan.steps} "
            f"(epoch {step // self.plan.steps_per_epoch + 1}).",
            hint=f"Lower optimiser.lr (now {self.config.optimiser.lr:g}), set clip_norm (1.0, say) or "
            "schedule.warmup_steps, or use precision 32-true.",
        )


def build_fabric(precision: Any, run: Surroundings) -> Fabric:
    """Return Fabric for this process: alone, or one of those that ``torchrun`` or SLURM started (DDP)."""
    accelerator = "cpu" if run.device == "cpu" else "cuda"
    if run.ranks.size == 1:
        alone = LightningEnvironment()  # an interactive SLURM session is no reason to look for other processes
        return Fabric(accelerator=accelerator, devices=1, precision=precision, plugins=[alone])
    here = processes_here(run.ranks.size)
    fabric = Fabric(
        accelerator=accelerator,
        devices=here,
        num_nodes=max(1, run.ranks.size // here),
        strategy="ddp",
        precision=precision,
    )
    with _threads_kept():
        fabric.launch()
    return fabric


@contextmanager
def _threads_kept() -> Iterator[None]:
    """Keep Fabric from another number of threads inside the block: results depend on it, and it has been recorded."""
    if "OMP_NUM_THREADS" in os.environ:
        yield
        return
    os.environ["OMP_NUM_THREADS"] = str(torch.get_num_threads())
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]  # later work would take it for the user's wish
