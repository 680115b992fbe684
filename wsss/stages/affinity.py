"""Train a boundary network on pairs of pixels that masks are sure about (IRN: Ahn, Cho & Kwak, CVPR 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from wsss.data.augmentation import SegmentationAugmentation
from wsss.errors import InvalidInput
from wsss.pipeline.stage import Context, Input, Read, Result, Stage, StageConfig
from wsss.stages.common.classifier_training import load_input_classifier, load_on_all_ranks, training_metrics
from wsss.stages.common.inspect_inputs import inspect_masks
from wsss.stages.common.mask_inputs import ANY_FOLDER, count_empty, renumber, require_class, survey, with_masks
from wsss.train.config import AdamWConfig, OptimiserConfig, TrainConfig

if TYPE_CHECKING:
    from wsss.data.dataset import Dataset
    from wsss.data.sample import Sample
    from wsss.train.segmentation import SegmentationExamples


class AffinityConfig(TrainConfig, StageConfig):
    """Config of `affinity`."""

    split: str = Field(default="train", description="split to train on")
    radius: int = Field(default=5, ge=2, le=16, description="map elements closer than this form a pair")
    channels: int = Field(default=32, ge=4, le=1024, multiple_of=4, description="channels per level of features")
    stride: int = Field(default=4, ge=1, le=32, description="image pixels per map element")
    epochs: int | None = Field(default=4, ge=1, description="passes over the training split; null if steps is set")
    optimiser: OptimiserConfig = Field(
        default_factory=lambda: AdamWConfig(lr=1e-3, head_lr_factor=1, weight_decay=1e-4),
        description="optimiser: sgd or adamw, with its settings",
    )
    augmentation: SegmentationAugmentation = Field(
        default=SegmentationAugmentation.model_validate({"scale": (1.0, 1.0), "colour": None}),
        description="random scales, crops, flips and colours",
    )


def run(ctx: Context[AffinityConfig]) -> Result:
    """Train the boundary head, and save the network with the weights of the last epoch."""
    from wsss.models.boundary import build_boundary_network, save_boundary_network
    from wsss.train.affinity_training import pair_loss
    from wsss.train.loop import Job, fit
    from wsss.train.optim import Group
    from wsss.train.runtime import deterministic

    config = ctx.config
    examples = _examples(ctx)
    with deterministic(ctx.device, ctx.seed):
        classifier = load_on_all_ranks(ctx)
        network = build_boundary_network(classifier, channels=config.channels, stride=config.stride)
    job = Job(
        name="affinity",
        model=network,
        groups=[Group(list(network.head.parameters()), config.optimiser.head_lr_factor)],
        examples=examples,
        loss=pair_loss(config.radius),
        image_bytes=examples.pairs.largest,
    )
    shares = _known(ctx)
    history = fit(job, config, ctx)
    if ctx.ranks.rank == 0:
        save_boundary_network(ctx.out, network, ctx.data.classes)
    metrics = {"images": len(examples)} | shares | training_metrics(config, len(examples), history)
    return Result(metrics, {"boundaries": {"radius": config.radius, "images": len(examples)}})


def _examples(ctx: Context[AffinityConfig]) -> SegmentationExamples:
    from wsss.train.image_cache import ArrayCache
    from wsss.train.segmentation import PairLoader, SegmentationExamples

    config, pairs = ctx.config, _pairs(ctx)
    load = PairLoader(pairs, ctx.data.classes, config.max_side)
    return SegmentationExamples(ArrayCache(load, len(pairs), cache_bytes=config.cache_mb << 20), config.augmentation)


def _pairs(ctx: Context[AffinityConfig]) -> tuple[Sample, ...]:
    """Return the samples with the masks to train on."""
    split = ctx.config.split
    hint = "Create masks for all images of the split to train on."
    of = f"split {split!r}"
    return with_masks(ctx.inputs["masks"].path, ctx.data.split(split), ctx.data, of=of, hint=hint)


def _known(ctx: Context[AffinityConfig]) -> dict[str, Any]:
    """Return metrics of the masks: how many show no class."""
    if ctx.ranks.rank != 0:
        return {}
    pairs = _pairs(ctx)
    shown = [summary.shows_class for summary in survey(ctx, pairs)]
    return {"empty_masks": count_empty(ctx, pairs, shown)}


def _check(config: AffinityConfig, data: Dataset) -> None:
    data.split(config.split)


def _ready(ctx: Context[AffinityConfig]) -> None:
    from wsss.data.truth import read_truth, shows_class

    load_input_classifier(ctx)
    classes, pairs = ctx.data.classes, _pairs(ctx)
    hint = f"If 255 means a class, {renumber(classes)}."
    require_class(ctx.inputs["masks"], pairs, classes, purpose="to train on", hint=hint)
    if not any(shows_class(read_truth(sample, classes)) for sample in pairs):
        raise InvalidInput(
            f"none of the {len(pairs)} masks to train on shows a class",
            subject=ctx.inputs["masks"].path,
            hint="Lower the thresholds of the stage that created the masks (pseudo: policy), or inspect its maps.",
        )


STAGE = Stage(
    name="affinity",
    version=1,
    config=AffinityConfig,
    run=run,
    provides="affinity",
    resumes=True,
    inputs={
        "classifier": Input(("classifier",), "folder of a classify, expand or shrink stage, whose features are used"),
        "masks": Input(
            ("masks",), f"masks with uncertain pixels (255): folder of a pseudo or crf stage, or {ANY_FOLDER}"
        ),
    },
    reads=lambda config: [Read(config.split, "images")],
    needs_splits=lambda config: (config.split,),
    check=_check,
    ready=_ready,
    inspect=lambda ctx: inspect_masks(ctx, _pairs(ctx)),
    trains=lambda config: config.images_per_step,
)
