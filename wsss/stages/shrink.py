"""Train the shrinkage sampler behind the expansion sampler: an ordinary deformable convolution on clipped features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from wsss.errors import InvalidInput
from wsss.models.config import SamplingConfig, ShrinkageConfig
from wsss.pipeline.stage import Context, Result, Stage, StageConfig
from wsss.stages.common.classifier_training import check_labelled, labelled_reads, load_trained, ready_labelled, trained
from wsss.stages.common.sampler_stage import (
    AREA,
    SCOPES,
    Merge,
    Placement,
    SamplingTraining,
    Scope,
    check_update,
    classifier_input,
    put_sampler,
    train_sampler,
)

if TYPE_CHECKING:
    from wsss.models.classifier import CAMClassifier


class GentleShrinkageConfig(ShrinkageConfig):
    """A shrinkage sampler that reaches and cuts off no more than what gains on photographs (docs/esol.md)."""

    max_offset: float | None = Field(
        default=0.5, gt=0, description="R: offsets are R·tanh(o/R), in feature pixels; null: unbounded"
    )
    clip: float | None = Field(
        default=0.9, gt=0, le=1, description="β: features are clipped at β times their channel's maximum"
    )


class ShrinkConfig(SamplingTraining, StageConfig):
    """Config of `shrink`."""

    sampler: GentleShrinkageConfig = Field(default=GentleShrinkageConfig(), description="shrinkage sampler")
    placement: Placement | None = Field(
        default=None,
        description="after the last feature map (features), or before the 1×1 convolution that widens it in the "
        "MobileNets (bottleneck); null: as the expansion sampler, or bottleneck without one",
    )
    merge: Merge = Field(
        default="mean",
        description="maps from before this sampler (expansion), from after it (shrinkage), or mean or maximum of both",
    )
    update: tuple[Scope, ...] = Field(
        default=("offsets", "kernel"), min_length=1, description=f"trainable parts: {SCOPES}"
    )
    area: float = Field(default=0.1, description=AREA)

    @model_validator(mode="after")
    def _update_names_what_is_there(self) -> ShrinkConfig:
        check_update(self, self.sampler)
        if self.merge == "expansion" and not {"head", "trunk"}.intersection(self.update):
            raise ValueError(
                "merge: 'expansion' leaves the sampler out, and nothing else learns (update): maps would stay as they "
                "were; allowed are shrinkage, mean, max"
            )
        return self


def run(ctx: Context[ShrinkConfig]) -> Result:
    """Put the sampler behind those that are there and train; the weights after the last epoch are the result."""
    from wsss.train.runtime import deterministic

    classifier = load_trained(ctx)
    with deterministic(ctx.device, ctx.seed):
        _put(classifier, ctx)
    metrics = train_sampler(ctx, "shrink", classifier, classifier.samplers.shrinkage)
    before = "expansion" if classifier.samplers.expansion else "none"
    return Result(metrics, {"samplers": f"{before}, shrinkage (maps: {ctx.config.merge})"})


def _put(classifier: CAMClassifier, ctx: Context[ShrinkConfig]) -> None:
    """Put the sampler into a classifier, behind the expansion sampler where it has one.

    Raises:
        InvalidInput: there is one already, it doesn't fit, or it is to stand elsewhere than the expansion sampler.
    """
    config, folder = ctx.config, ctx.inputs["classifier"].path
    had = classifier.config.sampling or SamplingConfig()
    if had.shrinkage is not None:
        raise InvalidInput(
            f"{folder}: this classifier has a shrinkage sampler already.",
            hint="Give the folder of an expand stage (or of a classify stage).",
        )
    placement = config.placement or had.placement
    if had.expansion is not None and placement != had.placement:
        raise InvalidInput(
            f"shrink.placement: {placement}, but the expansion sampler of {folder} stands at {had.placement}; the one "
            "comes behind the other.",
            hint="Leave shrink.placement out, or set expand.placement to the same.",
        )
    changes = {"placement": placement, "shrinkage": config.sampler, "merge": config.merge}
    put_sampler(classifier, had.model_copy(update=changes))


def _ready(ctx: Context[ShrinkConfig]) -> None:
    _put(trained(ctx), ctx)
    ready_labelled(ctx)


STAGE = Stage(
    name="shrink",
    version=1,
    config=ShrinkConfig,
    run=run,
    provides="classifier",
    resumes=True,
    inputs=classifier_input("a classify or expand stage"),
    reads=labelled_reads,
    check=check_labelled,
    ready=_ready,
    trains=lambda config: config.images_per_step,
)
