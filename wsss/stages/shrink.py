"""Train the shrinkage sampler behind the expansion sampler: an ordinary deformable convolution on clipped features."""

from __future__ import annotations

from pydantic import Field, model_validator

from wsss.errors import InvalidInput
from wsss.models.config import SamplingConfig, ShrinkageConfig
from wsss.pipeline.stage import Context, Result, Stage, StageConfig
from wsss.stages.labelled import check_labelled, labelled_reads, load_trained
from wsss.stages.sampling import Merge, SamplingTraining, classifier_input, put_sampler, require_learning, train_sampler


class ShrinkConfig(SamplingTraining, StageConfig):
    """Config of `shrink`."""

    sampler: ShrinkageConfig = Field(default=ShrinkageConfig(), description="the shrinkage sampler")
    merge: Merge = Field(
        default="shrinkage",
        description="maps through the expansion sampler alone, through both samplers, or mean or maximum of the two",
    )

    @model_validator(mode="after")
    def _something_learns(self) -> ShrinkConfig:
        require_learning(self.update, self.sampler)
        return self


def run(ctx: Context[ShrinkConfig]) -> Result:
    """Put the sampler behind those that are there and train; the weights after the last epoch are the result."""
    from wsss.train.runtime import deterministic

    config = ctx.config
    classifier = load_trained(ctx)
    had = classifier.config.sampling or SamplingConfig()
    if had.shrinkage is not None:
        raise InvalidInput(
            f"{ctx.inputs['classifier'].path}: this classifier has a shrinkage sampler already.",
            mend="Give the folder of an expand stage (or of a classify stage).",
        )
    with deterministic(ctx.device, ctx.seed):
        put_sampler(classifier, had.model_copy(update={"shrinkage": config.sampler, "merge": config.merge}))
    metrics = train_sampler(ctx, "shrink", classifier, classifier.samplers.shrinkage)
    before = "expansion" if had.expansion else "none"
    return Result(metrics, {"samplers": f"{before}, shrinkage (maps: {config.merge})"})


STAGE = Stage(
    name="shrink",
    version=1,
    config=ShrinkConfig,
    run=run,
    provides="classifier",
    help="Train the shrinkage sampler: maps that leave the background again.",
    inputs=classifier_input("a classify or expand stage"),
    reads=labelled_reads,
    check=check_labelled,
)
