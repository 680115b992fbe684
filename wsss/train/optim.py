"""Optimisers and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from wsss.train.config import AdamWConfig, ScheduleConfig, SGDConfig


@dataclass(frozen=True)
class Group:
    """Parameters that share a learning rate: ``factor`` times the optimiser's."""

    parameters: Sequence[nn.Parameter]
    factor: float = 1.0


def trunk_and_head(network: nn.Module, config: SGDConfig | AdamWConfig) -> list[Group]:
    """Return the parameters of ``network.backbone``, and all others with the head's learning rate, as two groups.

    A network without a backbone is one group.
    """
    trunk = [parameter for name, parameter in network.named_parameters() if name.startswith("backbone.")]
    head = [parameter for name, parameter in network.named_parameters() if not name.startswith("backbone.")]
    return [Group(trunk), Group(head, config.head_lr_factor)] if trunk else [Group(head)]


def build_optimiser(config: SGDConfig | AdamWConfig, groups: Sequence[Group]) -> torch.optim.Optimizer:
    """Build the optimiser of all parameters with ``requires_grad``; empty groups are omitted."""
    chosen = [
        {"params": [p for p in group.parameters if p.requires_grad], "lr": config.lr * group.factor} for group in groups
    ]
    chosen = [group for group in chosen if group["params"]]
    if isinstance(config, SGDConfig):
        return torch.optim.SGD(
            chosen, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay, nesterov=config.nesterov
        )
    return torch.optim.AdamW(chosen, lr=config.lr, weight_decay=config.weight_decay)


def learning_rate_factor(config: ScheduleConfig, steps: int) -> Callable[[int], float]:
    """Return step → factor on the learning rate.

    Args:
        config: poly decays as ``(1 − step/steps)^power`` (Liu et al., ParseNet), cosine as
            ``(1 + cos(π·step/steps))/2`` (Loshchilov & Hutter, ICLR 2017, without restarts); the warm-up multiplies it
            by ``(step + 1)/(warmup_steps + 1)``.
        steps: total number of optimiser steps.

    """

    decays: dict[str, Callable[[int], float]] = {
        "poly": lambda step: max(0.0, 1 - step / steps) ** config.power,
        "cosine": lambda step: (1 + math.cos(math.pi * min(1.0, step / steps))) / 2,
        "constant": lambda step: 1.0,
    }
    decay = decays[config.name]

    def factor(step: int) -> float:
        return min(1.0, (step + 1) / (config.warmup_steps + 1)) * decay(step)

    return factor


def build_schedule(
    config: ScheduleConfig, optimiser: torch.optim.Optimizer, steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Build the schedule; it advances by one per optimiser step."""
    return torch.optim.lr_scheduler.LambdaLR(optimiser, learning_rate_factor(config, steps))
