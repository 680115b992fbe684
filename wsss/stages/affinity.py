"""Train a boundary network on pairs of pixels with certain labels (IRN: Ahn, Cho & Kwak, CVPR 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from wsss.data.image_transforms.augmentation import SegmentationAugmentation
from wsss.pipeline.stage import Context, Input, Read, Result, Stage, StageConfig
from wsss.stages.common.corrected_masks import (
    CorrectionsFolder,
    check_corrections,
    inspect_corrections,
    stated_corrections,
)
from wsss.stages.common.inference.input_classifier import load_input_classifier, load_on_all_ranks
from wsss.stages.common.input_masks.mask_inputs import ANY_FOLDER, supervision_of
from wsss.stages.common.inspect_inputs import inspect_masks
from wsss.stages.common.training.classifier_training import training_metrics
from wsss.stages.common.training.training_targets import (
    check_training_masks,
    count_empty_masks,
    image_mask_pairs,
    training_examples,
)
from wsss.train.config import AdamWConfig, OptimiserConfig, TrainConfig

if TYPE_CHECKING:
    from wsss.data.dataset import Dataset


class AffinityConfig(TrainConfig, StageConfig):
    """Config of `affinity`."""

    labels: ClassVar[str] = "pseudo"
    """Training targets, named as in `segment`: the masks of the input."""

    split: str = Field(default="train", description="split to train on")
    radius: int = Field(
        default=5, ge=2, le=16, description="two map elements form a pair if their distance, in elements, is below this"
    )
    corrections: CorrectionsFolder = None
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
    from wsss.models.affinity_networks.boundary import build_boundary_network, save_boundary_network
    from wsss.train.loop import TrainingJob, fit
    from wsss.train.optim import Group
    from wsss.train.runtime import deterministic
    from wsss.train.tasks.affinity_training import pair_loss

    config = ctx.config
    examples = training_examples(ctx)
    with deterministic(ctx.device, ctx.seed):
        classifier = load_on_all_ranks(ctx)
        network = build_boundary_network(classifier, channels=config.channels, stride=config.stride)
    job = TrainingJob(
        name="affinity",
        model=network,
        groups=[Group(list(network.head.parameters()), config.optimiser.head_lr_factor)],
        examples=examples,
        loss=pair_loss(config.radius),
        image_bytes=examples.pairs.largest,
    )
    empty = count_empty_masks(ctx)
    history = fit(job, config, ctx)
    if ctx.ranks.rank == 0:
        save_boundary_network(ctx.out, network, ctx.data.classes)
    metrics = {"images": len(examples)} | empty | training_metrics(config, len(examples), history)
    settings = {"radius": config.radius, "images": len(examples)}
    supervision = supervision_of(ctx.inputs["masks"])
    counted, stated = stated_corrections(ctx, ctx.data.split(config.split), "training images", supervision)
    return Result(metrics | counted, {"supervision": supervision, "affinity": settings} | stated)


def _check(config: AffinityConfig, data: Dataset) -> None:
    data.split(config.split)
    check_corrections(config.corrections, data)


def _ready(ctx: Context[AffinityConfig]) -> None:
    load_input_classifier(ctx)
    check_training_masks(ctx)
    inspect_corrections(ctx.config.corrections, ctx.data, (ctx.config.split,))


STAGE = Stage(
    name="affinity",
    version=2,
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
    prepare=lambda config, data: inspect_corrections(config.corrections, data, (config.split,)),
    ready=_ready,
    inspect=lambda ctx: inspect_masks(ctx, image_mask_pairs(ctx)),
    trains=lambda config: config.images_per_step,
)
