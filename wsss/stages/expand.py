"""Train the expansion sampler: its offsets make the image-level loss larger, everything behind it makes it smaller."""

from __future__ import annotations

from pydantic import Field

from wsss.errors import InvalidInput
from wsss.models.config import ExpansionConfig, SamplingConfig
from wsss.pipeline.stage import Context, Result, Stage, StageConfig
from wsss.stages.labelled import check_labelled, labelled_reads, load_trained
from wsss.stages.sampling import CLASSIFIER, Placement, SamplingTraining, train_sampler


class ExpandConfig(SamplingTraining, StageConfig):
    """Config of `expand`."""

    sampler: ExpansionConfig | None = Field(
        default=ExpansionConfig(),
        description="the expansion sampler; null trains on without one, as a control of the same length",
    )
    placement: Placement = Field(
        default="bottleneck",
        description="behind the last feature map, or (bottleneck) before the 1×1 convolution that widens it in the "
        "MobileNets: a quarter of the channels",
    )


def run(ctx: Context[ExpandConfig]) -> Result:
    """Put the sampler behind the trained trunk and train; the weights after the last epoch are the result."""
    from wsss.train.runtime import deterministic

    config = ctx.config
    classifier = load_trained(ctx)
    if classifier.config.sampling is not None:
        raise InvalidInput(
            f"{ctx.inputs['classifier'].path}: this classifier has samplers already.",
            mend="Give the folder of a classify stage.",
        )
    with deterministic(ctx.device, ctx.seed):
        classifier.resample(SamplingConfig(placement=config.placement, expansion=config.sampler, merge="expansion"))
    metrics = train_sampler(ctx, "expand", classifier, classifier.samplers.expansion)
    return Result(metrics, {"samplers": "expansion" if config.sampler else "none (trained on)"})


STAGE = Stage(
    name="expand",
    version=1,
    config=ExpandConfig,
    run=run,
    provides="classifier",
    help="Train the expansion sampler: maps that reach beyond the most telling part of an object.",
    inputs=CLASSIFIER,
    reads=labelled_reads,
    check=check_labelled,
)
