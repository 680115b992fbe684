"""Train a segmentation network on pseudo masks, or, as an upper bound, on the true ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from wsss.data.transforms import SegmentationAugmentation
from wsss.errors import InvalidInput, listing
from wsss.io.layout import mask_path
from wsss.losses.config import CrossEntropyConfig, LossConfig
from wsss.models.config import SegmenterConfig, check_weights
from wsss.pipeline.stage import Artifact, Context, Input, Read, Result, Stage, StageConfig
from wsss.train.config import TrainConfig

if TYPE_CHECKING:
    from wsss.data.sample import Classes, Dataset, Sample


class SegmentConfig(SegmenterConfig, TrainConfig, StageConfig):
    """Config of `segment`."""

    split: str = Field(default="train", description="split to train on")
    labels: Literal["pseudo", "ground-truth"] = Field(
        default="pseudo",
        description="train on the masks of the stage's input, or on the true masks (full supervision, an upper bound)",
    )
    loss: LossConfig = Field(default=CrossEntropyConfig(), description="what to minimise, with its settings")
    augmentation: SegmentationAugmentation = Field(
        default=SegmentationAugmentation.model_validate({}), description="random scales, crops, flips and colours"
    )

    @model_validator(mode="after")
    def _batch_normalisation_needs_two(self) -> SegmentConfig:
        if self.head == "deeplabv3" and self.batch_size < 2:
            raise ValueError("head: deeplabv3 needs batch_size ≥ 2: its image pooling branch normalises over the batch")
        return self


def run(ctx: Context[SegmentConfig]) -> Result:
    """Train; the weights after the last epoch are the result."""
    from wsss.losses.base import build_loss
    from wsss.models.classifier import load_classifier
    from wsss.models.segmenters import build_segmenter, save_segmenter
    from wsss.train.images import Cached
    from wsss.train.loop import Job, fit
    from wsss.train.optim import trunk_and_head
    from wsss.train.runtime import deterministic, leader_first
    from wsss.train.segmentation import PairLoader, SegmentationExamples, mask_loss

    config, classes = ctx.config, ctx.data.classes
    pairs = _pairs(ctx.data.split(config.split), config, ctx.inputs["masks"])
    _check_foreground(pairs, classes)
    classifier: Artifact | None = ctx.inputs["classifier"]
    with deterministic(ctx.device, ctx.seed):
        start = load_classifier(classifier.path)[0] if classifier else None
        model = leader_first(ctx.ranks, lambda: build_segmenter(config, len(classes), start=start))
    loss = build_loss(config.loss)
    loaded = Cached(PairLoader(pairs, classes), len(pairs), cache_bytes=config.cache_mb << 20)
    job = Job(
        name="segment",
        model=model,
        groups=trunk_and_head(model, config.optimiser),
        examples=SegmentationExamples(loaded, config.augmentation),
        loss=mask_loss(loss),
        begin_step=loss.begin_step,
    )
    history = fit(job, config, ctx)
    if ctx.ranks.rank == 0:
        save_segmenter(ctx.out, model, classes)
    metrics = {
        "images": len(pairs),
        "epochs": config.epochs,
        "steps": history[-1]["step"],
        "train_loss": history[-1]["train_loss"],
    }
    provenance = {
        "segmenter": f"{config.head} on {config.backbone.name}",
        "segmenter_initial_weights": model.origin.label,
        "supervision": _supervision(config, ctx.inputs["masks"]),
        "loss": config.loss.name,
    }
    return Result(metrics, provenance)


def _supervision(config: SegmentConfig, masks: Artifact | None) -> str:
    """Say what labels the network owes its knowledge to: those behind the masks, where they are known."""
    if config.labels == "ground-truth":
        return "ground-truth masks"
    return str(masks.provenance.get("supervision", "masks of unstated origin")) if masks else "none"


def _pairs(samples: tuple[Sample, ...], config: SegmentConfig, masks: Artifact | None) -> list[Sample]:
    """Return the samples, each with the mask to train on.

    Raises:
        InvalidInput: no masks are given, or one is missing.
    """
    if config.labels == "ground-truth":
        _check_ground_truth(samples, config.split)
        return list(samples)
    if masks is None:
        raise InvalidInput(
            "segment: no masks to train on.",
            mend="Name a pseudo, crf or predict stage among its needs (or --masks DIR); to train on the true masks "
            "instead set labels: ground-truth.",
        )
    pairs = [replace(sample, mask=mask_path(masks.path, sample.id), mask_values=None) for sample in samples]
    missing = [sample.id for sample in pairs if not (sample.mask and sample.mask.is_file())]
    if missing:
        raise InvalidInput(
            f"{masks.path}: {len(missing)} of {len(samples)} images of split {config.split!r} have no mask there: "
            f"{listing(missing)}.",
            mend="Make masks of every image of the split that the network is trained on.",
        )
    return pairs


def _check_foreground(pairs: list[Sample], classes: Classes) -> None:
    """Masks whose 255 means a class (TopoMortar's own) would be taken for masks that are unsure everywhere.

    Raises:
        InvalidInput: there is 255 in the masks, and no pixel of any class but the background.
    """
    import numpy as np

    from wsss.data.sample import read_truth
    from wsss.io.masks import IGNORE

    unsure = False
    for sample in pairs:  # the first one usually answers
        mask = read_truth(sample, classes)
        if np.any((mask != 0) & (mask != IGNORE)):
            return
        unsure = unsure or bool(np.any(mask == IGNORE))
    if unsure:
        raise InvalidInput(
            f"{pairs[0].mask and pairs[0].mask.parent}: no pixel of any mask has a class other than the background; "
            "the rest is 255, which means unsure in masks to train on.",
            mend=f"If 255 means a class there, renumber it: {listing(classes.foreground)} "
            f"{listing(values[0] for values in classes.values[1:])}.",
        )


def _check_ground_truth(samples: tuple[Sample, ...], split: str) -> None:
    missing = [sample.id for sample in samples if sample.mask is None]
    if missing:
        raise InvalidInput(
            f"{len(missing)} of {len(samples)} images of split {split!r} have no ground-truth mask: {listing(missing)}."
        )


def _check(config: SegmentConfig, data: Dataset) -> None:
    check_weights(config.backbone)
    samples = data.split(config.split)
    if config.labels == "ground-truth":
        _check_ground_truth(samples, config.split)


def _reads(config: SegmentConfig) -> list[Read]:
    reads = [Read(config.split, "images")]
    return [*reads, Read(config.split, "masks")] if config.labels == "ground-truth" else reads


def _prepare(config: SegmentConfig, data: Dataset) -> None:
    from wsss.models.backbones import check_weights_fit

    check_weights_fit(config.backbone)


STAGE = Stage(
    name="segment",
    version=1,
    config=SegmentConfig,
    run=run,
    provides="segmenter",
    help="Train a segmentation network on pseudo masks (or true ones).",
    inputs={
        "masks": Input(("masks",), "folder of a pseudo, crf or predict stage, or any with masks/ID.png", optional=True),
        "classifier": Input(("classifier",), "start from the trunk of this classifier", optional=True),
    },
    reads=_reads,
    needs_splits=lambda config: () if config.labels == "ground-truth" else (config.split,),
    check=_check,
    prepare=_prepare,
)
