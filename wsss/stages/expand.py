"""Train the expansion sampler: its offsets make the image-level loss larger, everything behind it makes it smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from wsss.errors import InvalidInput
from wsss.models.config import ExpansionConfig, SamplingConfig
from wsss.pipeline.stage import Context, Result, Stage, StageConfig
from wsss.stages.common.classifier_training import check_labelled, labelled_reads, load_trained, ready_labelled, trained
from wsss.stages.common.sampler_stage import (
    AREA,
    Placement,
    SamplingTraining,
    check_update,
    classifier_input,
    put_sampler,
    train_sampler,
)

if TYPE_CHECKING:
    from wsss.models.classifier import CAMClassifier


class ExpandConfig(SamplingTraining, StageConfig):
    """Config of `expand`."""

    sampler: ExpansionConfig | None = Field(
        default=ExpansionConfig(),
        description="expansion sampler; null: continue training without one, as a control of equal length",
    )
    placement: Placement = Field(
        default="bottleneck",
        description="after the last feature map, or (bottleneck) before the 1×1 convolution that widens it in the "
        "MobileNets: a quarter of the channels",
    )
    area: float = Field(default=-5.0, description=AREA)

    @model_validator(mode="after")
    def _update_names_what_is_there(self) -> ExpandConfig:
        check_update(self, self.sampler)
        return self


def run(ctx: Context[ExpandConfig]) -> Result:
    """Put the sampler behind the trained trunk and train; the weights after the last epoch are the result."""
    from wsss.train.runtime import deterministic

    config = ctx.config
    classifier = load_trained(ctx)
    with deterministic(ctx.device, ctx.seed):
        _put(classifier, ctx)
    metrics = train_sampler(ctx, "expand", classifier, classifier.samplers.expansion)
    return Result(metrics, {"samplers": "expansion" if config.sampler else "none (trained on)"})


def _put(classifier: CAMClassifier, ctx: Context[ExpandConfig]) -> None:
    """Put the sampler into a classifier.

    Raises:
        InvalidInput: there is one already, or it doesn't fit.
    """
    had = classifier.config.sampling
    if had is not None and (had.expansion is not None or had.shrinkage is not None):
        raise InvalidInput(
            f"{ctx.inputs['classifier'].path}: this classifier has samplers already.",
            hint="Give the folder of a classify stage.",
        )
    config = ctx.config
    put_sampler(classifier, SamplingConfig(placement=config.placement, expansion=config.sampler, merge="expansion"))


def _ready(ctx: Context[ExpandConfig]) -> None:
    _put(trained(ctx), ctx)
    ready_labelled(ctx)


STAGE = Stage(
    name="expand",
    version=1,
    config=ExpandConfig,
    run=run,
    provides="classifier",
    resumes=True,
    inputs=classifier_input("a classify stage"),
    reads=labelled_reads,
    check=check_labelled,
    ready=_ready,
    trains=lambda config: config.images_per_step,
)
