"""Config of the training loop; without torch, because the command line validates pipelines with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from wsss.io.rasters.working_size import MaxSide
from wsss.validation import NotInIdentity, Settings, refuse_unused

MAX_BATCH = 1 << 14
"""Maximum number of images in a batch: a larger value is a mistake that would exhaust memory."""

Weight = Annotated[float, Field(ge=0)]


class SGDConfig(Settings):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"] = "sgd"
    lr: float = Field(default=0.01, gt=0, description="learning rate of the backbone")
    head_lr_factor: float = Field(default=10.0, gt=0, description="learning rate of the head, as a multiple of lr")
    weight_decay: float = Field(default=1e-4, ge=0, description="L2 penalty")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="momentum")
    nesterov: bool = Field(default=False, description="Nesterov's momentum")

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> SGDConfig:
        if self.nesterov and self.momentum == 0:
            raise ValueError("momentum: expected a number above 0 for nesterov, got 0")
        return self


class AdamWConfig(Settings):
    """Adam with decoupled weight decay."""

    name: Literal["adamw"] = "adamw"
    lr: float = Field(default=1e-4, gt=0, description="learning rate of the backbone")
    head_lr_factor: float = Field(default=10.0, gt=0, description="learning rate of the head, as a multiple of lr")
    weight_decay: float = Field(default=1e-2, ge=0, description="decoupled weight decay")


OptimiserConfig = Annotated[SGDConfig | AdamWConfig, Field(discriminator="name")]


class ScheduleConfig(Settings):
    """Learning-rate schedule: linear warm-up, then polynomial or cosine decay to 0, or a constant rate."""

    name: Literal["poly", "cosine", "constant"] = Field(
        default="poly", description="decay of the learning rate; cosine: (1 + cos(π · step/steps))/2"
    )
    power: float = Field(default=0.9, gt=0, description="exponent of poly: (1 − step/steps)^power")
    warmup_steps: int = Field(default=0, ge=0, description="steps of linear warm-up from 0")

    @model_validator(mode="after")
    def _power_has_an_effect(self) -> ScheduleConfig:
        if self.name != "poly":
            refuse_unused(self, "power", requires="name: poly", got=self.name)
        return self


Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
PRECISIONS: tuple[str, ...] = get_args(Precision)


class TrainConfig(Settings):
    """Settings of training, besides network, data and loss."""

    epochs: int | None = Field(default=5, ge=1, description="passes over the training split; null if steps is set")
    steps: int | None = Field(default=None, ge=1, description="total number of optimiser steps, instead of epochs")
    batch_size: int = Field(default=16, ge=1, le=MAX_BATCH, description="images per forward pass and process")
    accumulate: int = Field(default=1, ge=1, le=MAX_BATCH, description="forward passes per optimiser step")
    optimiser: OptimiserConfig = Field(default_factory=AdamWConfig, description="sgd or adamw")
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig, description="learning rate over the steps")
    clip_norm: float | None = Field(default=None, gt=0, description="maximum global norm of the gradients")
    precision: Precision = Field(
        default="32-true", description="floating-point precision of training; devices that lack it use 32-true"
    )
    checkpoint_every: Annotated[float, NotInIdentity()] = Field(
        default=60.0, ge=0, description="seconds between checkpoints within an epoch"
    )
    checkpoint_steps: Annotated[int | None, NotInIdentity()] = Field(
        default=None, ge=1, description="also write a checkpoint every N steps"
    )
    cudnn_benchmark: Annotated[bool, NotInIdentity()] = Field(
        default=False,
        description="on a GPU, let cuDNN measure which algorithm is fastest; the last digits of results then vary",
    )
    cache_mb: Annotated[int, NotInIdentity()] = Field(
        default=1024, ge=0, description="memory for decoded images in MiB; 0: no cache"
    )
    max_side: MaxSide = None
    """Images are downscaled on reading, before scaling and cropping."""

    @property
    def images_per_step(self) -> int:
        """Images per optimiser step and process."""
        return self.batch_size * self.accumulate

    @model_validator(mode="before")
    @classmethod
    def _steps_replace_the_default(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and value.get("steps") is not None and "epochs" not in value:
            return {**value, "epochs": None}
        return value

    @model_validator(mode="after")
    def _one_length(self) -> TrainConfig:
        if self.epochs is not None and self.steps is not None:
            raise ValueError("expected epochs or steps, got both; to override a preset, set epochs: null")
        if self.epochs is None and self.steps is None:
            raise ValueError("expected epochs or steps: both are null")
        return self


class DeepSupervisionConfig(Settings):
    """Weighted sum of the losses of several outputs, the finest first."""

    weights: tuple[Weight, ...] | None = Field(
        default=None, description="one weight per output; by default each half of the previous one, with sum 1"
    )
    term: Literal["all", "finest"] = Field(
        default="all",
        description="outputs with a topological term; with finest, coarser outputs have only the base loss",
    )

    @model_validator(mode="after")
    def _finest_counts(self) -> DeepSupervisionConfig:
        if self.weights is not None and not (self.weights and self.weights[0] > 0):
            raise ValueError("weights: expected a first weight (of the finest output) above 0")

        return self
