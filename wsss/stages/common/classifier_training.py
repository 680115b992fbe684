"""What stages share that train a classifier on image-level labels, or take a trained one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from wsss.data.transforms import ClassificationAugmentation
from wsss.errors import InvalidInput, listing
from wsss.pipeline.stage import Artifact, Context, Input, Read
from wsss.train.config import TrainConfig
from wsss.validation import OptionName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from wsss.data.sample import Dataset, Sample
    from wsss.metrics.multilabel import MultilabelScores
    from wsss.models.classifier import CAMClassifier
    from wsss.train.optim import Group


TILES = Input(("tiles",), "folder of a tiles stage to train on instead of a split", optional=True)


class LabelledConfig(TrainConfig):
    """Training on the image-level labels of a split."""

    split: str = Field(
        default="train",
        description="split to train on, by its image-level labels only; unused with tiles",
    )
    val: Annotated[str | None, OptionName("val-split")] = Field(
        default=None, description="split to report mAP and F1 on; no checkpoint is selected by it"
    )
    augmentation: ClassificationAugmentation = Field(
        default=ClassificationAugmentation.model_validate({}),
        description="random crops, flips and colours; tiles are only flipped and rotated",
    )

    @property
    def splits(self) -> tuple[str, ...]:
        """Every split that is read."""
        return (self.split, *([self.val] if self.val is not None else []))


def load_trained(ctx: Context[Any]) -> CAMClassifier:
    """Load the classifier that is a stage's input, in every process.

    Raises:
        InvalidInput: see `trained`.
    """
    from wsss.train.runtime import leader_first

    return leader_first(ctx.ranks, lambda: trained(ctx))


def trained(ctx: Context[Any]) -> CAMClassifier:
    """Load the classifier that is a stage's input.

    Raises:
        InvalidInput: there is none in its folder, or it knows other classes than the dataset has.
    """
    from wsss.models.classifier import load_classifier

    model, classes = load_classifier(ctx.inputs["classifier"].path)
    if classes.names != ctx.data.classes.names:
        raise InvalidInput(
            f"The classifier knows the classes {listing(classes.foreground, limit=30)}; "
            f"the dataset has {listing(ctx.data.classes.foreground, limit=30)}."
        )
    return model


def train_on_labels(
    ctx: Context[Any],
    name: str,
    classifier: CAMClassifier,
    groups: Sequence[Group],
    *,
    loss: Callable[[nn.Module, Sequence[Tensor]], Tensor],
    network: nn.Module | None = None,
    watch: Callable[[], dict[str, float]] = dict,
) -> dict[str, Any]:
    """Train a classifier, in place, to the end of the last epoch.

    Args:
        ctx: with a config that is a `LabelledConfig`.
        name: of the job, in messages.
        classifier: what is scored after every epoch.
        groups: parameters to train, with their learning rates.
        loss: network, batch → loss.
        network: what is trained, where that is not the classifier itself but something around it.
        watch: further numbers to note after every epoch.

    Returns:
        Metrics of the training, and on ``val``.
    """
    from wsss.data.readers.label_matrix import label_targets
    from wsss.data.tiles.tile_table import read_tiles
    from wsss.train.classification import ClassificationExamples, TileExamples, score_classifier, tile_examples
    from wsss.train.image_cache import cached_images
    from wsss.train.loop import Job, fit
    from wsss.train.training_pictures import map_pictures

    config: LabelledConfig = ctx.config
    classes = ctx.data.classes.foreground
    tiles: Artifact | None = ctx.inputs.get("tiles")
    examples: ClassificationExamples | TileExamples

    def cached(chosen: Sequence[Sample]) -> Any:
        paths = [sample.image for sample in chosen]
        return cached_images(paths, cache_bytes=config.cache_mb << 20, max_side=config.max_side)

    if tiles is not None:
        found = read_tiles(tiles.path, ctx.data.classes)
        room = config.cache_mb << 20
        examples = tile_examples(tiles.path, found, len(classes), cache_bytes=room, max_side=config.max_side)
    else:
        samples = ctx.data.split(config.split)
        examples = ClassificationExamples(cached(samples), label_targets(samples, len(classes)), config.augmentation)
    require_absent(
        examples.labels,
        classes,
        f"image of split {config.split!r}" if tiles is None else "tile",
        ctx.log if ctx.ranks.rank == 0 else lambda line: None,
    )
    held_out = ctx.data.split(config.val) if config.val is not None and ctx.ranks.rank == 0 else ()
    val_images, val_labels = cached(held_out), label_targets(held_out, len(classes))
    scores: list[MultilabelScores] = []

    def validate() -> dict[str, float]:
        found: dict[str, float | None] = {}
        if held_out:
            scores[:] = [score_classifier(classifier, val_images, val_labels, size=config.augmentation.size)]
            found = {"val_map": scores[0].mean_average_precision, "val_f1": scores[0].f1}
        return {name: value for name, value in found.items() if value is not None} | watch()

    pictures = map_pictures(classifier, examples)
    history = fit(
        Job(
            name,
            network or classifier,
            groups,
            examples,
            loss,
            validate,
            pictures=pictures,
            image_bytes=examples.images.largest,
        ),
        config,
        ctx,
    )
    if held_out and not scores:  # the last epoch ended before an interruption
        classifier.eval()
        validate()
    metrics: dict[str, Any] = {
        "images": len(examples),
        **({"epochs": config.epochs} if config.epochs is not None else {}),
        "steps": history[-1]["step"],
        "train_loss": history[-1]["train_loss"],
    }
    return metrics | (_val_metrics(scores[0], classes, len(held_out)) if scores else {})


def require_absent(
    labels: NDArray[np.float32], classes: Sequence[str], what: str, log: Callable[[str], None] = lambda line: None
) -> None:
    """Refuse labels that leave nothing to learn; warn of classes that are in every image.

    Args:
        labels: ``(N, K)``: 1 present, 0 absent, NaN unknown.
        classes: names of the K classes.
        what: what a row stands for.
        log: takes the warning.

    Raises:
        InvalidInput: no class is absent from any image, or none is present in any.
    """
    everywhere = [name for name, column in zip(classes, labels.T, strict=True) if not (column == 0).any()]
    if len(everywhere) == len(classes):
        raise InvalidInput(
            f"Every {what} shows {listing(map(repr, everywhere))}, so a classifier has nothing to tell apart.",
            hint="Add images without the class (an empty label, or one such as ok), or cut images into tiles, some of "
            "which lack it (stage tiles).",
        )
    if not (labels == 1).any():
        raise InvalidInput(f"No {what} shows any class, so that there is nothing to learn.")
    if everywhere:
        log(
            f"warning: every {what} shows {listing(map(repr, everywhere))}: without images that lack it the classifier "
            "can't learn where it is."
        )


def supervision(ctx: Context[Any]) -> str:
    """Say what labels the classifier learns from."""
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
    """Return what such a stage reads of the dataset: images and labels, never masks."""
    return [Read(split, kind) for split in config.splits for kind in ("images", "labels")]


def check_labelled(config: LabelledConfig, data: Dataset) -> None:
    """Check, before anything runs, that every image has labels.

    Raises:
        InvalidInput: one has none, or there is no such split.
    """
    from wsss.data.sample import require_labels

    for split in config.splits:
        require_labels(data.split(split))


def ready_labelled(ctx: Context[Any]) -> None:
    """Refuse labels that leave nothing to learn before an earlier result is discarded; see `require_absent`."""
    from wsss.data.readers.label_matrix import label_targets

    if ctx.inputs.get("tiles") is None:
        classes = ctx.data.classes.foreground
        labels = label_targets(ctx.data.split(ctx.config.split), len(classes))
        require_absent(labels, classes, f"image of split {ctx.config.split!r}")
