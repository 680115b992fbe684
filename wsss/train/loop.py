"""The training loop of all networks.

All random numbers are functions of (seed, step, process): `wsss.train.sample_order` derives batches and augmentation,
and every generator is seeded at every step. A run that is interrupted at any moment and resumed from its last
checkpoint therefore ends with the same weights as an uninterrupted one; on a CPU, bit by bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from wsss.errors import RunFailed
from wsss.io.files.stage_files import CHECKPOINT
from wsss.io.process.cores import processes_here
from wsss.io.process.memory_budget import workers_that_fit
from wsss.io.process.retained_memory import retained_memory
from wsss.train.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from wsss.train.config import TrainConfig
from wsss.train.fabric import build_fabric
from wsss.train.history import Scalars, write_history
from wsss.train.optim import build_optimiser, build_schedule
from wsss.train.runtime import deterministic, seed_all
from wsss.train.sample_order import Plan, derive_seed
from wsss.train.step_losses import StepLosses, steps_between_fetches
from wsss.train.training_job import Batch, RunContext, TrainingJob
from wsss.train.weight_average import WeightAverage
from wsss.train.workers import begin_worker

__all__ = ["Batch", "TrainingJob", "fit"]

MAX_LOADERS = 8
"""Maximum number of processes that prepare batches."""

LOADER_IMAGES = 8
"""Memory of a process that prepares batches, in multiples of an image: decoding, scaling and cropping."""


def fit(job: TrainingJob, config: TrainConfig, run: RunContext) -> list[dict[str, float]]:
    """Train ``job.model`` in place, resuming from the checkpoint in ``run.out`` if there is one.

    The checkpoint remains; the caller deletes it once the result is saved and recorded.

    Returns:
        The history, also written to ``history.csv``: a row per epoch with ``epoch``, ``step``, ``lr``, ``train_loss``
        (mean over the row's steps) and the values of ``job.validate``. If ``config.steps`` is set, there are up to
        twenty rows, and ``epoch`` is fractional.

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
    with deterministic(run.device, run.seed, benchmark=config.cudnn_benchmark), retained_memory():
        return _Loop(job, config, run, plan).run()


class _Loop:
    def __init__(self, job: TrainingJob, config: TrainConfig, run: RunContext, plan: Plan) -> None:
        self.job, self.config, self.context, self.plan = job, config, run, plan
        precision = run.precision or config.precision
        self.fabric = build_fabric(precision, run)
        # Channels-last memory makes convolutions faster: 1.5× on a CPU, and on GPUs with mixed precision.
        job.model.to(memory_format=torch.channels_last)
        optimiser = build_optimiser(config.optimiser, job.groups)
        schedule = build_schedule(config.schedule, optimiser, plan.steps)
        self.model, self.optimiser = self.fabric.setup(job.model, optimiser)
        scaler = self.fabric.strategy.precision if precision == "16-mixed" else None
        self.average = WeightAverage(job.model, job.average_decay) if job.average_decay is not None else None
        self.training = TrainingState(
            job.model, optimiser, schedule, scaler, plan.ranks, plan.effective_batch, run.identity, self.average
        )
        self.path = run.out / CHECKPOINT
        self.progress = load_checkpoint(self.path, self.training, run.log)
        self.leader = run.ranks.rank == 0
        self.fetch_every, self.losses = steps_between_fetches(run.device), StepLosses()

    def run(self) -> list[dict[str, float]]:
        """Train to the end; return the history."""
        run, plan, progress = self.context, self.plan, self.progress
        run.ranks.barrier()  # all processes read the checkpoint before one overwrites it
        self._require_same_step()
        if self.leader and progress.step:
            run.log(f"{run.out.name}: resumed at {self._position()}")
        advance = run.progress.track(self.job.name, plan.steps, progress.step)
        scalars = Scalars(run.out / "tensorboard", progress.step) if self.leader else None
        saved = time.monotonic()
        batches = iter(self._loader())
        try:
            while progress.step < plan.steps:
                loss = self._step(batches)
                progress.step += 1
                if self.average is not None:
                    self.average.update(progress.step)
                rate = float(self.training.schedule.get_last_lr()[0])
                self.losses.add(progress.step, loss, rate)
                ended = progress.step % plan.steps_per_row == 0 or progress.step == plan.steps
                fetched = ended or self._fetch_due()
                if fetched:
                    self._fetch_losses(scalars)
                if ended:
                    self._end_row(rate, scalars)
                if fetched and (ended or self._checkpoint_due(saved)):
                    if self.leader:
                        save_checkpoint(self.path, self.training, progress)
                    saved = time.monotonic()
                if ended and self.leader:
                    write_history(run.out, progress.history)
                advance(1)
        finally:
            if scalars:
                scalars.close()
        if self.leader:
            write_history(run.out, progress.history)
        run.ranks.barrier()
        if self.average is not None:
            self.average.apply()
        return progress.history

    def _position(self) -> str:
        step, plan = self.progress.step, self.plan
        if plan.epochs is None:
            return f"step {step}/{plan.steps}"
        return f"step {step}/{plan.steps}, epoch {step // plan.steps_per_epoch}/{plan.epochs}"

    def _require_same_step(self) -> None:
        """Require that all processes resume at the same step: one may fail to read the checkpoint."""
        first = int(self.context.ranks.from_first(lambda: self.progress.step))
        if first != self.progress.step:
            raise RunFailed(
                f"process {self.plan.rank} would resume after step {self.progress.step}, process 0 after step "
                f"{first}: they read different checkpoints",
                subject=self.path,
                hint="Make sure that all machines share this folder, or delete the checkpoint to start over.",
            )

    def _loader(self) -> DataLoader[Any]:
        workers = min(self.context.workers // 2, MAX_LOADERS)  # the network needs cores, too
        if workers > 1:
            memory, label = LOADER_IMAGES * self.job.image_bytes, f"{self.job.name}, processes that load images"
            here = processes_here(self.context.ranks.size)
            workers = workers_that_fit(workers, memory, self.context.log, label, processes=here)
        return DataLoader(
            cast("Dataset[Any]", self.job.examples),
            batch_sampler=cast("Iterable[list[Any]]", self.plan.batches(self.progress.step)),
            num_workers=workers,
            collate_fn=self.job.collate,
            worker_init_fn=begin_worker if workers else None,
            pin_memory=self.context.device != "cpu",
        )

    def _step(self, batches: Any) -> Tensor:
        """Take one optimiser step; return its loss (mean over processes), a scalar on the device."""
        accumulate = self.config.accumulate
        seed_all(derive_seed("step", self.context.seed, self.progress.step, self.context.ranks.rank))
        self.model.train()
        if self.job.begin_step:
            self.job.begin_step(self.progress.step, self.plan.steps)
        total = torch.zeros((), device=self.fabric.device)
        for part in range(accumulate):
            batch = self.fabric.to_device(next(batches))
            with self.fabric.no_backward_sync(self.model, enabled=part < accumulate - 1):
                loss = self.job.loss(self.model, batch) / accumulate
                self.fabric.backward(loss)
            total += loss.detach()
        loss = cast("Tensor", self.fabric.all_reduce(total, reduce_op="mean"))
        if self.fetch_every == 1:
            self._require_finite(float(loss), self.progress.step + 1)
        if self.config.clip_norm is not None:
            self.fabric.clip_gradients(
                self.model, self.optimiser, max_norm=self.config.clip_norm, error_if_nonfinite=False
            )
        self.optimiser.step()
        self.training.schedule.step()
        self.optimiser.zero_grad(set_to_none=True)
        return loss

    def _fetch_due(self) -> bool:
        """Return whether to fetch losses: in all processes after the same steps, so that all stop if one is NaN."""
        step, checkpoint_steps = self.progress.step, self.config.checkpoint_steps
        return step % self.fetch_every == 0 or (checkpoint_steps is not None and step % checkpoint_steps == 0)

    def _fetch_losses(self, scalars: Scalars | None) -> None:
        """Add up the losses since the last call. No state is validated, saved or published before this check."""
        for step, loss, rate in self.losses.fetch():
            self._require_finite(loss, step)
            self.progress.loss_sum += loss
            if scalars:
                scalars.write({"loss/step": loss, "lr": rate}, step)

    def _require_finite(self, loss: float, step: int) -> None:
        if math.isfinite(loss):
            return
        raise RunFailed(
            f"the loss is {loss} at step {step} of {self.plan.steps} "
            f"(epoch {(step - 1) // self.plan.steps_per_epoch + 1})",
            subject=self.job.name,
            hint=f"Lower optimiser.lr (now {self.config.optimiser.lr:g}), set clip_norm (such as 1.0) or "
            "schedule.warmup_steps, or use precision 32-true.",
        )

    def _end_row(self, rate: float, scalars: Scalars | None) -> None:
        """Validate, and add a row to the history, TensorBoard and the log."""
        progress, plan = self.progress, self.plan
        in_epochs = plan.epochs is not None
        epoch = progress.step // plan.steps_per_epoch if in_epochs else progress.step / plan.steps_per_epoch
        steps = (progress.step - 1) % plan.steps_per_row + 1  # the last row may be shorter
        row = {"epoch": epoch, "step": progress.step, "lr": rate, "train_loss": progress.loss_sum / steps}
        pictures: Mapping[str, NDArray[np.uint8]] = {}
        if self.leader:
            with self.average.applied() if self.average is not None else nullcontext():
                if self.job.validate:
                    self.job.model.eval()
                    row |= self.job.validate()
                pictures = self.job.pictures() if self.job.pictures else {}
        progress.history.append(row)
        progress.loss_sum = 0.0
        if scalars:
            values = {f"epoch/{name}": value for name, value in row.items() if name not in ("epoch", "step")}
            scalars.write(values, progress.step)
            scalars.draw(pictures, progress.step)
        if self.leader:
            shown = [f"{name} {value:.4g}" for name, value in row.items() if name not in ("epoch", "step", "lr")]
            done = f"epoch {epoch}/{plan.epochs}" if in_epochs else f"step {progress.step}/{plan.steps}"
            self.context.log(f"{self.job.name}: {done}: {', '.join(shown)}")

    def _checkpoint_due(self, saved: float) -> bool:
        steps = self.config.checkpoint_steps
        return time.monotonic() - saved >= self.config.checkpoint_every or (
            steps is not None and self.progress.step % steps == 0
        )
