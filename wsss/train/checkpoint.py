"""Checkpoints of a training run: everything that its further course depends on, in one atomic file.

Which images come next and all random numbers are functions of (seed, step, process), see `wsss.train.sample_order` and
`wsss.train.loop`; the step stands for the state of every generator.
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

FORMAT = 3

UNUSABLE = (
    *(pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError, AttributeError),
    IndexError,
)
"""What torch and we raise for a file that is no checkpoint of this training."""


@dataclass
class Progress:
    """How far a training run is.

    Args:
        step: optimiser steps done.
        loss_sum: sum of the losses of the steps done in the current epoch.
        history: a row per finished epoch.
    """

    step: int = 0
    loss_sum: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Trained:
    """What is saved and restored.

    Args:
        model, optimiser, schedule: of the training.
        scaler: precision plugin with ``state_dict``/``load_state_dict`` (the loss scale of 16-bit training).
        ranks: number of processes that train together.
        effective_batch: images per optimiser step, of all processes.
        identity: hash of all that the training depends on.
    """

    model: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    scaler: Any
    ranks: int
    effective_batch: int
    identity: str


def save_checkpoint(path: Path, trained: Trained, progress: Progress) -> None:
    """Write a checkpoint with its checksum, atomically.

    Raises:
        RunFailed: the disk is full, or the folder can't be written to.
    """
    state = {
        "format": FORMAT,
        "identity": trained.identity,
        "model": trained.model.state_dict(),
        "optimiser": trained.optimiser.state_dict(),
        "schedule": trained.schedule.state_dict(),
        "scaler": trained.scaler.state_dict() if trained.scaler is not None else {},
        "ranks": trained.ranks,
        "effective_batch": trained.effective_batch,
        "threads": torch.get_num_threads(),
        "step": progress.step,
        "loss_sum": progress.loss_sum,
        "history": progress.history,
    }
    content = io.BytesIO()  # torch's own writer turns a full disk into a RuntimeError that doesn't say so
    torch.save(state, content)
    with atomic_open(path) as file:
        write_sealed_zip(file, content.getbuffer())


def load_checkpoint(path: Path, trained: Trained, log: Callable[[str], None]) -> Progress:
    """Restore a training run in place, or start a new one where there is no checkpoint.

    A checkpoint that is damaged, or that belongs to another training (another identity, another number of processes),
    is reported and ignored; nothing is restored from it. Another number of threads is reported: sums are added up in
    another order, so that the training ends as neither number alone would have it.
    """
    if not path.is_file():
        return Progress()
    try:
        check_sealed_zip(path)
        check_stored_zip(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        _check(state, trained)
        _restore(state, trained)
    except UNUSABLE as error:
        raise_if_exhausted(error)  # else a sound checkpoint would be discarded
        # ValueErrors are ours; torch's words of a file that it can't read recommend to load it unsafely.
        reason = str(error) if isinstance(error, ValueError) else "this version can't read it"
        log(f"warning: {path}: the checkpoint can't be used ({reason}); training starts again")
        return Progress()
    if state["threads"] != torch.get_num_threads():
        log(
            f"warning: {path}: the number of threads was {state['threads']} so far and is {torch.get_num_threads()} "
            "now: the result can differ in its last digits from that of either number"
        )
    return Progress(state["step"], state["loss_sum"], state["history"])


def _restore(state: Mapping[str, Any], trained: Trained) -> None:
    """Load all states in place; if one of them can't be, raise, and leave all as they were."""
    parts: dict[str, Any] = {"model": trained.model, "optimiser": trained.optimiser, "schedule": trained.schedule}
    parts |= {} if trained.scaler is None else {"scaler": trained.scaler}
    before = {name: copy.deepcopy(part.state_dict()) for name, part in parts.items()}
    try:
        for name, part in parts.items():
            part.load_state_dict(state[name])
    except Exception:
        for name, part in parts.items():
            part.load_state_dict(before[name])
        raise


def _check(state: Any, trained: Trained) -> None:
    """Raise `ValueError` or `KeyError` unless a checkpoint fits the network, its optimiser and the processes."""
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError("not a checkpoint of this version")
    if state["identity"] != trained.identity:
        raise ValueError("it belongs to another training: of another seed, config, dataset or input")
    shapes = {name: value.shape for name, value in trained.model.state_dict().items()}
    if shapes != {name: value.shape for name, value in state["model"].items()}:
        raise ValueError("it belongs to another network")
    sizes = [len(group["params"]) for group in trained.optimiser.state_dict()["param_groups"]]
    if sizes != [len(group["params"]) for group in state["optimiser"]["param_groups"]]:
        raise ValueError("it belongs to another optimiser")
    made, now = (state["ranks"], state["effective_batch"]), (trained.ranks, trained.effective_batch)
    if made != now:
        raise ValueError(
            f"expected the number of processes {now[0]} and the effective batch {now[1]}, got {made[0]} and {made[1]}"
        )
    _check_moments(state["optimiser"]["state"], trained.optimiser)
    rows = state["history"]
    if not isinstance(rows, list) or not all(isinstance(row, dict) and _are_numbers(row) for row in rows):
        raise ValueError("history: expected rows of numbers")
    if not all(type(state[key]) is int and state[key] >= 0 for key in ("step", "threads")):
        raise ValueError("step and threads: expected whole numbers")
    if not _are_numbers({"loss_sum": state["loss_sum"]}) or not isinstance(state["schedule"], dict):
        raise ValueError("loss_sum: expected a number, schedule: a mapping")


def _check_moments(state: Mapping[Any, Mapping[str, Any]], optimiser: torch.optim.Optimizer) -> None:
    """Raise `ValueError` unless what an optimiser keeps of each weight has the weight's shape, or is one number."""
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    for place, kept in state.items():
        if type(place) is not int or not 0 <= place < len(weights):
            raise ValueError(f"optimiser: no weight {place!r}")
        for name, value in kept.items():
            if isinstance(value, Tensor) and value.numel() != 1 and value.shape != weights[place].shape:
                raise ValueError(f"optimiser: {name} of weight {place} has the shape {tuple(value.shape)}")


def _are_numbers(row: Mapping[Any, Any]) -> bool:
    return all(isinstance(name, str) and isinstance(value, int | float) for name, value in row.items())
