"""Train the expansion sampler: its offsets maximise the image-level loss, all layers after it minimise the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from wsss.errors import InvalidInput
from wsss.models.sampler_config import ExpansionConfig, SamplingConfig
from wsss.pipeline.stage import Context, Result, StageConfig
from wsss.stages.common.inference.input_classifier import load_on_all_ranks
from wsss.stages.common.training.sampler_stage import (
    AREA,
    Placement,
    SamplingTraining,
    check_trainable,
    insert_samplers,
    sampler_stage,
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
        description="position of the sampler: features (after the last feature map), or bottleneck (before the final "
        "1×1 convolution of a MobileNet, with a quarter of the channels)",
    )
    area: float = Field(default=-5.0, description=AREA)

    @model_validator(mode="after")
    def _validate_trainable(self) -> ExpandConfig:
        check_trainable(self, self.sampler)
        return self


def run(ctx: Context[ExpandConfig]) -> Result:
    """Insert the sampler after the trained trunk, train, and save the weights of the last epoch."""
    from wsss.train.runtime import deterministic

    config = ctx.config
    classifier = load_on_all_ranks(ctx)
    with deterministic(ctx.device, ctx.seed):
        _insert(classifier, ctx)
    metrics = train_sampler(ctx, "expand", classifier, classifier.samplers.expansion)
    return Result(metrics, {"samplers": "expansion" if config.sampler else "none (trained on)"})


def _insert(classifier: CAMClassifier, ctx: Context[ExpandConfig]) -> None:
    config, existing = ctx.config, classifier.config.sampling
    if existing is not None and (existing.expansion is not None or existing.shrinkage is not None):
        raise InvalidInput(
            "this classifier already has samplers",
            subject=ctx.inputs["classifier"].path,
            hint="Use the folder of a classify stage.",
        )
    sampling = SamplingConfig(placement=config.placement, expansion=config.sampler, merge="expansion")
    insert_samplers(classifier, sampling)


STAGE = sampler_stage("expand", ExpandConfig, run, _insert, "a classify stage")
