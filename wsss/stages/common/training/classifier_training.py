"""Training of a classifier on image-level labels, shared by `classify`, `expand` and `shrink`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from wsss.data.image_transforms.augmentation import ClassificationAugmentation
from wsss.data.label_matrix import label_targets
from wsss.data.sample import require_labels
from wsss.errors import InvalidInput, listing
from wsss.pipeline.stage import Artifact, Context, Input, Read, reads_of
from wsss.train.config import TrainConfig
from wsss.validation import OptionName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from wsss.data.dataset import Dataset
    from wsss.data.sample import Sample
    from wsss.metrics.multilabel import MultilabelScores
    from wsss.models.classifier import CAMClassifier
    from wsss.train.optim import Group
    from wsss.train.tasks.classification import ClassificationExamples, TileExamples


TILES = Input(("tiles",), "folder of a tiles stage to train on instead of a split", optional=True)


class LabelledConfig(TrainConfig):
    """Training on the image-level labels of a split."""

    split: str | None = Field(
        default="train",
        description="split to train on, using its image-level labels only; ignored with tiles. null: the images have "
        "no labels of their own, only the tiles do",
    )
    val: Annotated[str | None, OptionName("val-split")] = Field(
        default=None, description="split for mAP and F1 after each epoch; not used to select a checkpoint"
    )
    augmentation: ClassificationAugmentation = Field(
        default=ClassificationAugmentation.model_validate({}),
        description="random crops, flips and colour changes; tiles are only flipped and rotated",
    )

    @property
    def splits(self) -> tuple[str, ...]:
        """All splits that are read."""
        return tuple(split for split in (self.split, self.val) if split is not None)


def train_on_labels(
    ctx: Context[Any],
    name: str,
    classifier: CAMClassifier,
    groups: Sequence[Group],
    *,
    loss: Callable[[nn.Module, Sequence[Tensor]], Tensor],
    network: nn.Module | None = None,
    extra_metrics: Callable[[], dict[str, float]] = dict,
) -> dict[str, Any]:
    """Train a classifier in place, up to the end of the last epoch.

    Args:
        ctx: its config is a `LabelledConfig`.
        name: name of the job in messages.
        classifier: scored after every epoch.
        groups: trainable parameters with their learning rates.
        loss: network, batch → loss.
        network: module to train, if it wraps the classifier.
        extra_metrics: returns further values to record after every epoch.

    Returns:
        Training metrics and, if ``val`` is set, metrics of the validation split.
    """
    from wsss.train.loop import TrainingJob, fit
    from wsss.train.tasks.classification import score_classifier
    from wsss.train.training_pictures import map_pictures

    config: LabelledConfig = ctx.config
    classes = ctx.data.classes.foreground
    examples = _examples(ctx)
    classifier.trained_on_tiles = ctx.inputs.get("tiles") is not None
    held_out = ctx.data.split(config.val) if config.val is not None and ctx.ranks.rank == 0 else ()
    val_images, val_labels = _cached(held_out, config), label_targets(held_out, len(classes))
    scores: list[MultilabelScores] = []

    def validate() -> dict[str, float]:
        values: dict[str, float | None] = {}
        if held_out:
            scores[:] = [score_classifier(classifier, val_images, val_labels, size=config.augmentation.size)]
            values = {"val_map": scores[0].mean_average_precision, "val_f1": scores[0].f1}
        return {name: value for name, value in values.items() if value is not None} | extra_metrics()

    job = TrainingJob(
        name,
        network or classifier,
        groups,
        examples,
        loss,
        validate,
        pictures=map_pictures(classifier, examples),
        image_bytes=examples.images.largest,
    )
    history = fit(job, config, ctx)
    if held_out and not scores:  # interrupted after the last epoch
        classifier.eval()
        validate()
    metrics = training_metrics(config, len(examples), history)
    return metrics | (_val_metrics(scores[0], classes, len(held_out)) if scores else {})


def training_metrics(config: TrainConfig, images: int, history: Sequence[Any]) -> dict[str, Any]:
    """Return the metrics of a training run: images, epochs (unless steps are counted), steps and the last loss."""
    return {
        "images": images,
        **({"epochs": config.epochs} if config.epochs is not None else {}),
        "steps": history[-1]["step"],
        "train_loss": history[-1]["train_loss"],
    }


def _cached(samples: Sequence[Sample], config: LabelledConfig) -> Any:
    from wsss.train.image_cache import cached_images

    sources = [sample.source for sample in samples]
    return cached_images(sources, cache_bytes=config.cache_mb << 20, max_side=config.max_side)


def _examples(ctx: Context[Any]) -> ClassificationExamples | TileExamples:
    """Return the training examples of the tiles or, without tiles, of the split."""
    from wsss.data.tiles.tile_table import read_tiles
    from wsss.train.tasks.classification import ClassificationExamples, tile_examples

    config: LabelledConfig = ctx.config
    classes = ctx.data.classes.foreground
    log = ctx.log if ctx.ranks.rank == 0 else lambda line: None
    artifact: Artifact | None = ctx.inputs.get("tiles")
    if artifact is not None:
        tiles, cache = read_tiles(artifact.path, ctx.data.classes), config.cache_mb << 20
        examples = tile_examples(artifact.path, tiles, len(classes), cache_bytes=cache, max_side=config.max_side)
        require_absent(examples.labels, classes, "tile", log)
        return examples
    samples = ctx.data.split(config.split)
    labels = label_targets(samples, len(classes))
    require_absent(labels, classes, f"image of split {config.split!r}", log)
    return ClassificationExamples(_cached(samples, config), labels, config.augmentation)


IMAGES_HINT = (
    "Add images without the class (with an empty label, or a label such as ok), or cut the images into tiles (stage "
    "tiles)."
)
TILES_HINT = "Use smaller tiles, or more of them, so that some do not show the class."


def require_absent(
    labels: NDArray[np.float32], classes: Sequence[str], what: str, log: Callable[[str], None] = lambda line: None
) -> None:
    """Reject labels without positives or without negatives; warn about classes without negatives.

    Args:
        labels: ``(N, K)``: 1 present, 0 absent, NaN unknown.
        classes: names of the K classes.
        what: noun for a row.
        log: receives the warning.

    Raises:
        InvalidInput: no class has a negative example, or none has a positive one.
    """
    everywhere = [name for name, column in zip(classes, labels.T, strict=True) if not (column == 0).any()]
    if len(everywhere) == len(classes):
        raise InvalidInput(
            f"Every {what} shows {listing(map(repr, everywhere))}: there are no negative examples.",
            hint=TILES_HINT if what == "tile" else IMAGES_HINT,
        )
    if not (labels == 1).any():
        raise InvalidInput(f"No {what} shows any of the classes: there are no positive examples.")
    if everywhere:
        log(
            f"warning: every {what} shows {listing(map(repr, everywhere))}: without negative examples the classifier "
            "cannot learn to localise it."
        )


def supervision(ctx: Context[Any]) -> str:
    """Return a description of the training labels."""
    artifact: Artifact | None = ctx.inputs.get("tiles")
    if artifact is None:
        return "image-level labels"
    return str(artifact.provenance.get("supervision", "labels of tiles of unstated origin"))


def _val_metrics(scores: MultilabelScores, names: tuple[str, ...], images: int) -> dict[str, Any]:
    return {
        "val_images": images,
        "val_map": scores.mean_average_precision,
        "val_f1": scores.f1,
        "val_average_precision": {names[k]: value for k, value in scores.average_precision.items()},
        "val_classes_without_images": [names[k] for k in scores.absent],
    }


def labelled_reads(config: LabelledConfig) -> list[Read]:
    """Return the images and labels that training reads; masks are never read."""
    return reads_of(config.splits, "images", "labels")


def check_examples(config: LabelledConfig, ids: Mapping[str, Sequence[str]]) -> None:
    """Require a split or tiles to train on.

    Raises:
        InvalidInput: neither a split nor tiles are set.
    """
    if config.split is None and not ids.get("tiles"):
        raise InvalidInput(
            "nothing to train on: no split and no tiles",
            subject="split",
            hint="Set split, or add a tiles stage to its needs (or pass --tiles DIR).",
        )


def check_labelled(config: LabelledConfig, data: Dataset) -> None:
    """Require image-level labels of all images.

    Raises:
        InvalidInput: an image has no labels, or a split does not exist.
    """
    for split in config.splits:
        require_labels(data.split(split))


def prepare_backbone(config: Any, data: Dataset) -> None:
    """Require that the initial weights of ``config.backbone`` fit its architecture."""
    from wsss.models.backbones import check_weights_fit

    if config.backbone is not None:
        check_weights_fit(config.backbone)


def inspect_backbone(ctx: Context[Any]) -> None:
    """Load the initial weights of ``config.backbone``, so that a failing download does not cost an earlier result.

    Raises:
        InvalidInput, RunFailed: see `wsss.models.backbones.build_backbone`.
    """
    from wsss.models.backbones import build_backbone

    if ctx.config.backbone is not None:
        build_backbone(ctx.config.backbone)


def ready_labelled(ctx: Context[Any]) -> None:
    """Apply `require_absent` before an earlier result is discarded."""
    if ctx.inputs.get("tiles") is None:
        classes = ctx.data.classes.foreground
        labels = label_targets(ctx.data.split(ctx.config.split), len(classes))
        require_absent(labels, classes, f"image of split {ctx.config.split!r}")
