"""Train the CAM classifier on image-level labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from wsss.data.transforms import ClassificationAugmentation
from wsss.errors import listing
from wsss.models.config import ClassifierConfig, check_weights
from wsss.pipeline.stage import Context, Read, Result, Stage, StageConfig
from wsss.train.config import TrainConfig

if TYPE_CHECKING:
    from wsss.data.sample import Dataset
    from wsss.metrics.multilabel import MultilabelScores


class ClassifyConfig(ClassifierConfig, TrainConfig, StageConfig):
    """Config of `classify`."""

    split: str = Field(default="train", description="split to train on; only its image-level labels are used")
    val: str | None = Field(default=None, description="split to report mAP and F1 on; it chooses nothing")
    augmentation: ClassificationAugmentation = Field(
        default=ClassificationAugmentation.model_validate({}), description="random crops, flips and colours"
    )


def run(ctx: Context[ClassifyConfig]) -> Result:
    """Train; the weights after the last epoch are the result."""
    from wsss.data.labels import label_matrix
    from wsss.models.classifier import build_classifier, save_classifier
    from wsss.train.classification import ClassificationExamples, multilabel_loss, score_classifier
    from wsss.train.images import cached_images
    from wsss.train.loop import Job, fit
    from wsss.train.optim import trunk_and_head
    from wsss.train.runtime import deterministic, leader_first

    config, classes = ctx.config, ctx.data.classes
    samples = ctx.data.split(config.split)
    labels = label_matrix(samples, len(classes.foreground))
    everywhere = [name for name, column in zip(classes.foreground, labels.T, strict=True) if column.all()]
    if everywhere and ctx.ranks.rank == 0:
        ctx.log(
            f"warning: every image of split {config.split!r} has the class {listing(everywhere)}: without images that "
            "lack it the classifier can't learn where it is; add some."
        )
    with deterministic(ctx.device, ctx.seed):
        model = leader_first(ctx.ranks, lambda: build_classifier(config, len(classes.foreground)))
    images = cached_images([sample.image for sample in samples], cache_bytes=config.cache_mb << 20)
    scores: list[MultilabelScores] = []
    validate = None
    if config.val is not None and ctx.ranks.rank == 0:
        held_out = ctx.data.split(config.val)
        val_labels = label_matrix(held_out, len(classes.foreground))
        val_images = cached_images([sample.image for sample in held_out], cache_bytes=config.cache_mb << 20)

        def validate() -> dict[str, float]:
            scores[:] = [score_classifier(model, val_images, val_labels, size=config.augmentation.size)]
            found = {"val_map": scores[0].mean_average_precision, "val_f1": scores[0].f1}
            return {name: value for name, value in found.items() if value is not None}

    job = Job(
        "classify",
        model,
        trunk_and_head(model, config.optimiser),
        ClassificationExamples(images, labels, config.augmentation),
        multilabel_loss,
        validate,
    )
    history = fit(job, config, ctx)
    if validate is not None and not scores:  # the last epoch ended before an interruption
        model.eval()
        validate()
    if ctx.ranks.rank == 0:
        save_classifier(ctx.out, model, classes)
    metrics: dict[str, Any] = {
        "images": len(samples),
        "epochs": config.epochs,
        "steps": history[-1]["step"],
        "train_loss": history[-1]["train_loss"],
    }
    if scores:
        metrics |= _val_metrics(scores[0], classes.foreground, len(ctx.data.split(config.val)))
    provenance = {
        "backbone": config.backbone.name,
        "initial_weights": model.origin.label,
        "supervision": "image-level labels",
    }
    return Result(metrics, provenance)


def _val_metrics(scores: MultilabelScores, names: tuple[str, ...], images: int) -> dict[str, Any]:
    return {
        "val_images": images,
        "val_map": scores.mean_average_precision,
        "val_f1": scores.f1,
        "val_average_precision": {names[k]: value for k, value in scores.average_precision.items()},
        "val_classes_without_images": [names[k] for k in scores.absent],
    }


def _reads(config: ClassifyConfig) -> list[Read]:
    splits = [config.split, *([config.val] if config.val is not None else [])]
    return [Read(split, kind) for split in splits for kind in ("images", "labels")]


def _check(config: ClassifyConfig, data: Dataset) -> None:
    from wsss.data.sample import require_labels

    check_weights(config.backbone)
    for split in [config.split, *([config.val] if config.val is not None else [])]:
        require_labels(data.split(split))


def _prepare(config: ClassifyConfig, data: Dataset) -> None:
    from wsss.models.backbones import check_weights_fit

    check_weights_fit(config.backbone)


STAGE = Stage(
    name="classify",
    version=1,
    config=ClassifyConfig,
    run=run,
    provides="classifier",
    help="Train an image-level classifier whose maps show where each class is.",
    reads=_reads,
    check=_check,
    prepare=_prepare,
)
