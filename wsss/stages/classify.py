"""Train the classifier for class activation maps on image-level labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsss.models.config import ClassifierConfig, check_weights
from wsss.pipeline.stage import Context, Result, Stage, StageConfig
from wsss.stages.common.training.classifier_training import (
    TILES,
    LabelledConfig,
    check_examples,
    check_labelled,
    inspect_backbone,
    labelled_reads,
    prepare_backbone,
    ready_labelled,
    supervision,
    train_on_labels,
)

if TYPE_CHECKING:
    from wsss.data.dataset import Dataset


class ClassifyConfig(ClassifierConfig, LabelledConfig, StageConfig):
    """Config of `classify`."""


def run(ctx: Context[ClassifyConfig]) -> Result:
    """Train, and save the weights of the last epoch."""
    from wsss.models.classifier import build_classifier, save_classifier
    from wsss.train.optim import trunk_and_head
    from wsss.train.runtime import deterministic, leader_first
    from wsss.train.tasks.classification import multilabel_loss

    config, classes = ctx.config, ctx.data.classes
    with deterministic(ctx.device, ctx.seed):
        model = leader_first(ctx.ranks, lambda: build_classifier(config, len(classes.foreground)))
    metrics = train_on_labels(ctx, "classify", model, trunk_and_head(model, config.optimiser), loss=multilabel_loss)
    if ctx.ranks.rank == 0:
        save_classifier(ctx.out, model, classes)
    provenance = {"backbone": config.trunk, "initial_weights": model.origin.label, "supervision": supervision(ctx)}
    return Result(metrics, provenance)


def _check(config: ClassifyConfig, data: Dataset) -> None:
    check_weights(config.backbone)
    check_labelled(config, data)


STAGE = Stage(
    name="classify",
    version=2,
    config=ClassifyConfig,
    run=run,
    provides="classifier",
    resumes=True,
    inputs={"tiles": TILES},
    reads=labelled_reads,
    check=_check,
    check_inputs=check_examples,
    prepare=prepare_backbone,
    ready=ready_labelled,
    inspect=inspect_backbone,
    trains=lambda config: config.images_per_step,
)
