"""Checkpoints: the complete state of a training run, in one file that is written atomically.

The order of images and all random numbers are functions of (seed, step, process), see `wsss.train.sample_order` and
`wsss.train.loop`; the step number replaces the states of random generators.
"""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wsss.io.files.atomic import atomic_open
from wsss.io.files.sealed import check_sealed_zip, check_stored_zip, write_sealed_zip
from wsss.io.process.exhausted import raise_if_exhausted
from wsss.train.weight_average import WeightAverage

FORMAT = 3

UNUSABLE = (
    *(pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError, AttributeError),
    IndexError,
)
"""Raised by torch and `_check` for files that are not a checkpoint of this training run."""


@dataclass
class Progress:
    """Progress of a training run.

    Args:
        step: number of optimiser steps taken.
        loss_sum: sum of their losses since the last row of the history.
        history: finished rows.
    """

    step: int = 0
    loss_sum: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class TrainingState:
    """The objects that a checkpoint saves and restores, and the settings that it must agree with.

    Args:
        model, optimiser, schedule: state of the training run.
        scaler: precision plugin with ``state_dict``/``load_state_dict`` (the loss scale of 16-bit training).
        ranks: number of training processes.
        effective_batch: images per optimiser step, over all processes.
        identity: hash of everything that the result depends on.
        average: moving average of the model's weights, if there is one.
    """

    model: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    scaler: Any
    ranks: int
    effective_batch: int
    identity: str
    average: WeightAverage | None = None


def save_checkpoint(path: Path, training: TrainingState, progress: Progress) -> None:
    """Write a checkpoint with a checksum, atomically.

    Raises:
        RunFailed: the disk is full, or the folder is not writable.
    """
    state = {
        "format": FORMAT,
        "identity": training.identity,
        "model": training.model.state_dict(),
        "optimiser": training.optimiser.state_dict(),
        "schedule": training.schedule.state_dict(),
        "scaler": training.scaler.state_dict() if training.scaler is not None else {},
        "ranks": training.ranks,
        "effective_batch": training.effective_batch,
        "threads": torch.get_num_threads(),
        "step": progress.step,
        "loss_sum": progress.loss_sum,
        "history": progress.history,
        **({"average": training.average.state_dict()} if training.average is not None else {}),
    }
    content = io.BytesIO()  # torch's own writer hides the cause when the disk is full
    torch.save(state, content)
    with atomic_open(path) as file:
        write_sealed_zip(file, content.getbuffer())


def load_checkpoint(path: Path, training: TrainingState, log: Callable[[str], None]) -> Progress:
    """Restore a training run in place; without a checkpoint, return the start of a new one.

    A checkpoint that is damaged or belongs to another run (another identity or number of processes) is discarded with a
    warning. A different number of threads is only reported: it changes the order of summation, hence the last digits.
    """
    if not path.is_file():
        return Progress()
    try:
        check_sealed_zip(path)
        check_stored_zip(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        _check(state, training)
        _restore(state, training)
    except UNUSABLE as error:
        raise_if_exhausted(error)  # a valid checkpoint must not be discarded for lack of memory
        # torch's own messages recommend loading the file unsafely.
        reason = str(error) if isinstance(error, ValueError) else "this version cannot read it"
        log(f"warning: {path}: checkpoint discarded ({reason}); training restarts")
        return Progress()
    if state["threads"] != torch.get_num_threads():
        log(
            f"warning: {path}: the number of threads was {state['threads']} and is now {torch.get_num_threads()}: "
            "results can differ in the last digits"
        )
    return Progress(state["step"], state["loss_sum"], state["history"])


def _restore(state: Mapping[str, Any], training: TrainingState) -> None:
    """Load all states in place; on failure, restore the previous ones and raise."""
    parts: dict[str, Any] = {"model": training.model, "optimiser": training.optimiser, "schedule": training.schedule}
    if training.scaler is not None and state["scaler"]:  # empty after steps in another precision: its scale adapts
        parts["scaler"] = training.scaler
    if training.average is not None:
        parts["average"] = training.average
    before = {name: copy.deepcopy(part.state_dict()) for name, part in parts.items()}
    try:
        for name, part in parts.items():
            part.load_state_dict(state[name])
    except Exception:
        for name, part in parts.items():
            part.load_state_dict(before[name])
        raise


def _check(state: Any, training: TrainingState) -> None:
    """Raise `ValueError` or `KeyError` unless a checkpoint agrees with the training run."""
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError("not a checkpoint written by this version")
    if state["identity"] != training.identity:
        raise ValueError("it belongs to a run with a different seed, config, dataset or input")
    shapes = {name: value.shape for name, value in training.model.state_dict().items()}
    for part in ("model", "average") if training.average is not None else ("model",):
        if shapes != {name: value.shape for name, value in state[part].items()}:
            raise ValueError("it belongs to another network")
    sizes = [len(group["params"]) for group in training.optimiser.state_dict()["param_groups"]]
    if sizes != [len(group["params"]) for group in state["optimiser"]["param_groups"]]:
        raise ValueError("it belongs to another optimiser")
    for key, expected in (("ranks", training.ranks), ("effective_batch", training.effective_batch)):
        if state[key] != expected:
            raise ValueError(f"{key}: expected {expected}, got {state[key]}")
    _check_moments(state["optimiser"]["state"], training.optimiser)
    rows = state["history"]
    if not isinstance(rows, list) or not all(isinstance(row, dict) and _are_numbers(row) for row in rows):
        raise ValueError("history: expected rows of numbers")
    if not all(type(state[key]) is int and state[key] >= 0 for key in ("step", "threads")):
        raise ValueError("step and threads: expected integers of 0 or more")
    if not _are_numbers({"loss_sum": state["loss_sum"]}) or not isinstance(state["schedule"], dict):
        raise ValueError("loss_sum: expected a number, schedule: a mapping")


def _check_moments(state: Mapping[Any, Mapping[str, Any]], optimiser: torch.optim.Optimizer) -> None:
    """Raise `ValueError` unless each optimiser state of a weight is a number or has the weight's shape."""
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    for index, values in state.items():
        if type(index) is not int or not 0 <= index < len(weights):
            raise ValueError(f"optimiser: no weight {index!r}")
        for name, value in values.items():
            if isinstance(value, Tensor) and value.numel() != 1 and value.shape != weights[index].shape:
                raise ValueError(f"optimiser: {name} of weight {index} has the shape {tuple(value.shape)}")


def _are_numbers(row: Mapping[Any, Any]) -> bool:
    return all(isinstance(name, str) and isinstance(value, int | float) for name, value in row.items())
