"""Train a segmentation network on pseudo masks, a teacher's class probabilities or ground-truth masks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from wsss.data.image_transforms.augmentation import SegmentationAugmentation
from wsss.errors import InvalidInput, listing
from wsss.losses.any_loss import LossConfig
from wsss.losses.config import CrossEntropyConfig
from wsss.losses.plugin_losses import check_loss
from wsss.models.config import SegmenterConfig, UNetConfig, check_weights
from wsss.pipeline.stage import Artifact, Context, Input, Read, Result, Stage, StageConfig
from wsss.stages.common.corrected_masks import (
    CorrectionsFolder,
    CorrectionWeight,
    check_corrections,
    inspect_corrections,
    stated_corrections,
)
from wsss.stages.common.input_masks.mask_inputs import ANY_FOLDER, supervision_of
from wsss.stages.common.inspect_inputs import inspect_masks, inspect_probabilities
from wsss.stages.common.require_inputs import require_truth
from wsss.stages.common.training.classifier_training import inspect_backbone, prepare_backbone, training_metrics
from wsss.stages.common.training.training_targets import (
    check_training_masks,
    count_empty_masks,
    image_mask_pairs,
    is_weighted,
    probability_files,
    training_examples,
)
from wsss.train.config import DeepSupervisionConfig, TrainConfig
from wsss.validation import InIdentityIfSet, OptionName, refuse_unused

if TYPE_CHECKING:
    from torch import Tensor, nn

    from wsss.data.dataset import Dataset
    from wsss.losses.base import Loss
    from wsss.models.segmentation_networks.segmenters import SegmentationNetwork
    from wsss.train.tasks.segmentation import SegmentationExamples
    from wsss.train.tasks.soft import SoftExamples
    from wsss.train.training_job import TrainingJob


class SegmentConfig(SegmenterConfig, TrainConfig, StageConfig):
    """Config of `segment`."""

    split: str = Field(default="train", description="split to train on")
    labels: Annotated[Literal["pseudo", "soft", "ground-truth"], OptionName("targets")] = Field(
        default="pseudo",
        description="training targets: pseudo (the input masks), soft (the input class probabilities, from "
        "predict with save_probabilities), or ground-truth (masks of the dataset, full supervision)",
    )
    corrections: CorrectionsFolder = None
    correction_weight: CorrectionWeight = 1.0
    ema: Annotated[float | None, InIdentityIfSet()] = Field(
        default=None,
        gt=0,
        lt=1,
        description="decay per step of a moving average of the weights, which is saved instead of the last weights; "
        "null: no average",
    )
    loss: LossConfig = Field(default=CrossEntropyConfig(), description="loss function, with its settings")
    deep_supervision: DeepSupervisionConfig = Field(
        default=DeepSupervisionConfig(), description="loss weights of the coarser outputs"
    )
    augmentation: SegmentationAugmentation = Field(
        default=SegmentationAugmentation.model_validate({}), description="random scales, crops, flips and colours"
    )

    @model_validator(mode="after")
    def _batch_normalisation(self) -> SegmentConfig:
        if self.head == "deeplabv3" and self.batch_size < 2:
            raise ValueError("head: deeplabv3 requires batch_size ≥ 2, for batch normalisation of its pooling branch")
        return self

    @model_validator(mode="after")
    def _settings_of_the_head(self) -> SegmentConfig:
        if self.head == "deeplabv3":
            refuse_unused(self, "head_channels", requires="head: lraspp", got=self.head)
        if self.head == "lraspp":
            refuse_unused(self, "atrous_rates", requires="head: deeplabv3", got=self.head)
        return self

    @model_validator(mode="after")
    def _settings_of_corrections(self) -> SegmentConfig:
        if self.corrections is not None and self.labels == "ground-truth":
            raise ValueError("corrections: expected null with labels: ground-truth, whose masks are complete")
        if self.correction_weight != 1 and self.corrections is None:
            raise ValueError("correction_weight requires corrections")
        if self.correction_weight != 1 and self.labels == "soft":
            raise ValueError("correction_weight: expected 1 with labels: soft, whose targets are not masks")
        return self

    @model_validator(mode="after")
    def _settings_of_the_network(self) -> SegmentConfig:
        outputs = 1 + (self.unet.coarse_outputs if self.unet else 0)
        weights = self.deep_supervision.weights
        if weights is not None and len(weights) != outputs:
            raise ValueError(
                f"deep_supervision.weights: expected {outputs} weights (one per output: the finest, and "
                f"unet.deep_supervision coarser ones), got {len(weights)}"
            )
        chosen = "head_lr_factor" in self.optimiser.model_fields_set and self.optimiser.head_lr_factor != 1
        if self.unet is not None and chosen:
            raise ValueError("optimiser.head_lr_factor: expected 1 with head: dynunet, which has no backbone")
        return self


def run(ctx: Context[SegmentConfig]) -> Result:
    """Train a network, and save its weights after the last step, or their moving average."""
    from wsss.losses.targets import OnlyBackground
    from wsss.models.classifier import load_classifier
    from wsss.models.segmentation_networks.segmenters import build_segmenter, save_segmenter
    from wsss.train.loop import fit
    from wsss.train.runtime import deterministic, leader_first

    config, classes = ctx.config, ctx.data.classes
    classifier: Artifact | None = ctx.inputs["classifier"]
    _check_inputs(config, {"classifier": () if classifier is None else (classifier.path.name,)})
    examples = training_examples(ctx)
    with deterministic(ctx.device, ctx.seed):
        start = load_classifier(classifier.path)[0] if classifier else None
        model = leader_first(ctx.ranks, lambda: build_segmenter(config, len(classes), start=start))
    job = _job(ctx, model, examples)
    empty = count_empty_masks(ctx)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OnlyBackground)  # a batch may lack all classes; `_ready` checked all masks
        history = fit(job, config, ctx)
    if ctx.ranks.rank == 0:
        save_segmenter(ctx.out, model, classes, ctx.data.reading)
    metrics = {"images": len(examples)} | empty | training_metrics(config, len(examples), history)
    provenance = {
        "segmenter": _network(config),
        "segmenter_initial_weights": model.origin.label,
        "supervision": _supervision(config, ctx.data, ctx.inputs["masks"]),
        "loss": config.loss.name,
        **({"weight_average": f"moving average, decay {config.ema}"} if config.ema is not None else {}),
    }
    samples = ctx.data.split(config.split)
    counted, stated = stated_corrections(ctx, samples, "training images", provenance["supervision"])
    weight = {"correction_weight": config.correction_weight} if is_weighted(ctx) else {}
    return Result(metrics | counted, provenance | stated | weight)


def _training_loss(ctx: Context[SegmentConfig], loss: Loss) -> Callable[[nn.Module, Sequence[Tensor]], Tensor]:
    """Return the loss function of the training loop."""
    from wsss.train.corrected_examples import weighted_mask_loss
    from wsss.train.tasks.segmentation import mask_loss

    config = ctx.config
    if is_weighted(ctx):
        return weighted_mask_loss(loss, config.deep_supervision, config.correction_weight)
    return mask_loss(loss, config.deep_supervision)


def _job(
    ctx: Context[SegmentConfig], model: SegmentationNetwork, examples: SegmentationExamples | SoftExamples
) -> TrainingJob:
    from wsss.losses.base import build_loss
    from wsss.train.optim import trunk_and_head
    from wsss.train.training_job import TrainingJob
    from wsss.train.training_pictures import segmentation_pictures

    config, loss = ctx.config, build_loss(ctx.config.loss)
    return TrainingJob(
        name="segment",
        model=model,
        groups=trunk_and_head(model, config.optimiser),
        examples=examples,
        loss=_training_loss(ctx, loss),
        begin_step=loss.begin_step,
        pictures=segmentation_pictures(model, examples, ctx.data.classes),
        image_bytes=examples.pairs.largest,
        collate=examples.collate,
        average_decay=config.ema,
    )


def _network(config: SegmentConfig) -> str:
    """Return a short description of the network, for tables."""
    if config.backbone is not None:
        return f"{config.head} on {config.backbone.name}"
    unet = config.unet or UNetConfig()
    return f"dynunet of {unet.levels} levels, {unet.channels[0]} to {max(unet.channels)} channels"


def _supervision(config: SegmentConfig, data: Dataset, masks: Artifact | None) -> str:
    """Return the labels that the masks were derived from, if known."""
    if config.labels == "ground-truth":
        return data.mask_supervision(config.split)
    return supervision_of(masks) if masks else "none"


def _check(config: SegmentConfig, data: Dataset) -> None:
    check_loss(config.loss.name)
    if config.backbone is not None:
        check_weights(config.backbone)
    data.split(config.split)
    check_corrections(config.corrections, data)
    if config.labels == "ground-truth":
        hint = "Choose a split with masks, or set labels: pseudo."
        require_truth(data, (config.split,), where="segment", hint=hint)


def _reads(config: SegmentConfig) -> list[Read]:
    reads = [Read(config.split, "images")]
    return [*reads, Read(config.split, "masks")] if config.labels == "ground-truth" else reads


def _check_inputs(config: SegmentConfig, ids: Mapping[str, Sequence[str]]) -> None:
    if config.backbone is None and ids.get("classifier"):
        raise InvalidInput(
            f"{config.head} has no trunk to initialise from a classifier ({listing(ids['classifier'])})",
            subject="segment.head",
            hint="Remove the classifier from the needs of the stage, or choose another head.",
        )


def _prepare(config: SegmentConfig, data: Dataset) -> None:
    prepare_backbone(config, data)
    inspect_corrections(config.corrections, data, (config.split,))


def _ready(ctx: Context[SegmentConfig]) -> None:
    from wsss.models.classifier import load_classifier
    from wsss.models.segmentation_networks.segmenters import check_start

    if ctx.config.labels == "soft":
        probability_files(ctx)
    else:
        check_training_masks(ctx)
    inspect_corrections(ctx.config.corrections, ctx.data, (ctx.config.split,))
    if ctx.inputs["classifier"] is not None:
        check_start(ctx.config, load_classifier(ctx.inputs["classifier"].path)[0])


def _inspect(ctx: Context[SegmentConfig]) -> None:
    if ctx.config.labels == "soft":
        inspect_probabilities(ctx, ctx.data.split(ctx.config.split), ctx.inputs["masks"].path)
    else:
        inspect_masks(ctx, image_mask_pairs(ctx))
    if ctx.inputs["classifier"] is None:
        inspect_backbone(ctx)


STAGE = Stage(
    name="segment",
    version=2,
    config=SegmentConfig,
    run=run,
    provides="segmenter",
    resumes=True,
    inputs={
        "masks": Input(("masks",), f"folder of a pseudo, crf or predict stage, or {ANY_FOLDER}", optional=True),
        "classifier": Input(
            ("classifier",), "folder of a classifier whose trunk initialises the network", optional=True
        ),
    },
    reads=_reads,
    needs_splits=lambda config: () if config.labels == "ground-truth" else (config.split,),
    needs_settings=lambda config: {"masks": {"save_probabilities": True}} if config.labels == "soft" else {},
    check=_check,
    check_inputs=_check_inputs,
    prepare=_prepare,
    ready=_ready,
    inspect=_inspect,
    supervised=lambda values, upstream: values.get("labels") != "ground-truth",
    trains=lambda config: config.images_per_step,
)
