"""Train the shrinkage sampler, a deformable convolution on clipped features, after the expansion sampler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from wsss.errors import InvalidInput
from wsss.models.sampler_config import SamplingConfig, ShrinkageConfig
from wsss.pipeline.stage import Context, Result, StageConfig
from wsss.stages.common.inference.input_classifier import load_on_all_ranks
from wsss.stages.common.training.sampler_stage import (
    AREA,
    SCOPES,
    Merge,
    Placement,
    SamplingTraining,
    Scope,
    check_trainable,
    insert_samplers,
    sampler_stage,
    train_sampler,
)

if TYPE_CHECKING:
    from wsss.models.classifier import CAMClassifier


class ShrinkConfig(SamplingTraining, StageConfig):
    """Config of `shrink`."""

    sampler: ShrinkageConfig = Field(
        default=ShrinkageConfig(max_offset=0.5, clip=0.9),  # best on photographs (docs/esol.md)
        description="shrinkage sampler",
    )
    placement: Placement | None = Field(
        default=None,
        description="position of the sampler: features (after the last feature map), or bottleneck (before the final "
        "1×1 convolution of a MobileNet); null: as for the expansion sampler, or bottleneck if there is none",
    )
    merge: Merge = Field(
        default="mean",
        description="maps before this sampler (expansion), after it (shrinkage), or the mean or maximum of both",
    )
    trainable: tuple[Scope, ...] = Field(
        default=("offsets", "kernel"), min_length=1, description=f"trainable parts: {SCOPES}"
    )
    area: float = Field(default=0.1, description=AREA)

    @model_validator(mode="after")
    def _validate_trainable(self) -> ShrinkConfig:
        check_trainable(self, self.sampler)
        if self.merge == "expansion" and not {"head", "trunk"}.intersection(self.trainable):
            raise ValueError(
                "merge: 'expansion' bypasses the sampler, and trainable names no other part, so the maps would not "
                "change; expected shrinkage, mean or max"
            )
        return self


def run(ctx: Context[ShrinkConfig]) -> Result:
    """Insert the sampler after an existing expansion sampler, train, and save the weights of the last epoch."""
    from wsss.train.runtime import deterministic

    classifier = load_on_all_ranks(ctx)
    with deterministic(ctx.device, ctx.seed):
        _insert(classifier, ctx)
    metrics = train_sampler(ctx, "shrink", classifier, classifier.samplers.shrinkage)
    before = "expansion" if classifier.samplers.expansion else "none"
    return Result(metrics, {"samplers": f"{before}, shrinkage (maps: {ctx.config.merge})"})


def _insert(classifier: CAMClassifier, ctx: Context[ShrinkConfig]) -> None:
    config, folder = ctx.config, ctx.inputs["classifier"].path
    existing = classifier.config.sampling or SamplingConfig()
    if existing.shrinkage is not None:
        raise InvalidInput(
            "this classifier already has a shrinkage sampler",
            subject=folder,
            hint="Use the folder of an expand or classify stage.",
        )
    placement = config.placement or existing.placement
    if existing.expansion is not None and placement != existing.placement:
        raise InvalidInput(
            subject="shrink.placement",
            found=placement,
            allowed=f"{existing.placement!r}, the placement of the expansion sampler of {folder}",
            hint="Omit shrink.placement, or train the expansion sampler with the same placement.",
        )
    changes = {"placement": placement, "shrinkage": config.sampler, "merge": config.merge}
    insert_samplers(classifier, existing.model_copy(update=changes))


STAGE = sampler_stage("shrink", ShrinkConfig, run, _insert, "a classify or expand stage")
