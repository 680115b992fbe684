"""Train a segmentation network on pseudo masks, on a teacher's probabilities, or, as an upper bound, on true masks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from wsss.data.transforms import SegmentationAugmentation
from wsss.errors import InvalidInput, listing
from wsss.io.files.stage_files import probability_path
from wsss.losses.config import CrossEntropyConfig, LossConfig
from wsss.models.config import NO_TRUNK, SegmenterConfig, UNetConfig, check_weights
from wsss.pipeline.stage import Artifact, Context, Input, Read, Result, Stage, StageConfig
from wsss.stages.common.inspect_inputs import inspect_masks, inspect_probabilities
from wsss.stages.common.mask_inputs import ANY_FOLDER, count_empty, renumber, require_class, survey, with_masks
from wsss.train.config import DeepSupervisionConfig, TrainConfig
from wsss.validation import OptionName

if TYPE_CHECKING:
    from wsss.data.sample import Dataset, Sample
    from wsss.train.segmentation import SegmentationExamples
    from wsss.train.soft import SoftExamples


class SegmentConfig(SegmenterConfig, TrainConfig, StageConfig):
    """Config of `segment`."""

    split: str = Field(default="train", description="split to train on")
    labels: Annotated[Literal["pseudo", "soft", "ground-truth"], OptionName("targets")] = Field(
        default="pseudo",
        description="training targets: pseudo masks of the input, soft class probabilities beside them (from predict "
        "with save_probabilities), or ground-truth masks (full supervision, an upper bound)",
    )
    loss: LossConfig = Field(default=CrossEntropyConfig(), description="loss, with its settings")
    deep_supervision: DeepSupervisionConfig = Field(
        default=DeepSupervisionConfig(), description="weights of the losses of coarser outputs"
    )
    augmentation: SegmentationAugmentation = Field(
        default=SegmentationAugmentation.model_validate({}), description="random scales, crops, flips and colours"
    )

    @model_validator(mode="after")
    def _batch_normalisation_needs_two(self) -> SegmentConfig:
        if self.head == "deeplabv3" and self.batch_size < 2:
            raise ValueError("head: deeplabv3 needs batch_size ≥ 2: its image pooling branch normalises over the batch")
        return self

    @model_validator(mode="after")
    def _settings_that_the_network_knows(self) -> SegmentConfig:
        outputs = 1 + (self.unet.coarse_outputs if self.unet else 0)
        weights = self.deep_supervision.weights
        if weights is not None and len(weights) != outputs:
            raise ValueError(
                f"deep_supervision.weights: {len(weights)} weights; the network has {outputs} outputs "
                "(the finest, and unet.deep_supervision coarser ones)"
            )
        chosen = "head_lr_factor" in self.optimiser.model_fields_set and self.optimiser.head_lr_factor != 1
        if self.unet is not None and chosen:
            raise ValueError("optimiser.head_lr_factor: head: dynunet learns at one rate; leave it out, or set it to 1")
        return self


def run(ctx: Context[SegmentConfig]) -> Result:
    """Train; the weights after the last epoch are the result."""
    from wsss.losses.base import build_loss
    from wsss.losses.targets import OnlyBackground
    from wsss.models.classifier import load_classifier
    from wsss.models.segmenters import build_segmenter, save_segmenter
    from wsss.train.loop import Job, fit
    from wsss.train.optim import trunk_and_head
    from wsss.train.runtime import deterministic, leader_first
    from wsss.train.segmentation import mask_loss
    from wsss.train.training_pictures import segmentation_pictures

    config, classes = ctx.config, ctx.data.classes
    classifier: Artifact | None = ctx.inputs["classifier"]
    _check_inputs(config, {"classifier": () if classifier is None else (classifier.path.name,)})
    examples = _examples(ctx)
    with deterministic(ctx.device, ctx.seed):
        start = load_classifier(classifier.path)[0] if classifier else None
        model = leader_first(ctx.ranks, lambda: build_segmenter(config, len(classes), start=start))
    loss = build_loss(config.loss)
    job = Job(
        name="segment",
        model=model,
        groups=trunk_and_head(model, config.optimiser),
        examples=examples,
        loss=mask_loss(loss, config.deep_supervision),
        begin_step=loss.begin_step,
        pictures=segmentation_pictures(model, examples, classes),
        image_bytes=examples.pairs.largest,
    )
    empty = _empty_masks(ctx)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OnlyBackground)  # of single batches: `_check_masks` knows all masks
        history = fit(job, config, ctx)
    if ctx.ranks.rank == 0:
        save_segmenter(ctx.out, model, classes)
    metrics = {
        "images": len(examples),
        **empty,
        **({"epochs": config.epochs} if config.epochs is not None else {}),
        "steps": history[-1]["step"],
        "train_loss": history[-1]["train_loss"],
    }
    provenance = {
        "segmenter": _network(config),
        "segmenter_initial_weights": model.origin.label,
        "supervision": _supervision(config, ctx.inputs["masks"]),
        "loss": config.loss.name,
    }
    return Result(metrics, provenance)


def _network(config: SegmentConfig) -> str:
    """Describe the network in a few words, for tables."""
    if config.backbone is not None:
        return f"{config.head} on {config.backbone.name}"
    unet = config.unet or UNetConfig()
    return f"dynunet of {unet.levels} levels, {unet.channels[0]} to {max(unet.channels)} channels"


def _supervision(config: SegmentConfig, masks: Artifact | None) -> str:
    """Say what labels the network owes its knowledge to: those behind the masks, where they are known."""
    if config.labels == "ground-truth":
        return "ground-truth masks"
    return str(masks.provenance.get("supervision", "masks of unstated origin")) if masks else "none"


def _examples(ctx: Context[SegmentConfig]) -> SegmentationExamples | SoftExamples:
    """Return images with masks, or with class probabilities, as ``config.labels`` says.

    Raises:
        InvalidInput: see `_pairs` and `_probability_files`; or a file is broken.
    """
    from wsss.train.image_cache import Cached
    from wsss.train.segmentation import PairLoader, SegmentationExamples
    from wsss.train.soft import SoftExamples, SoftPairLoader

    config, classes, room = ctx.config, ctx.data.classes, ctx.config.cache_mb << 20
    if config.labels == "soft":
        files = _probability_files(ctx.data.split(config.split), config, ctx.inputs["masks"])
        soft = Cached(SoftPairLoader(files, classes, config.max_side), len(files), cache_bytes=room)
        return SoftExamples(soft, config.augmentation)
    pairs = _pairs(ctx)
    load = PairLoader(pairs, classes, config.max_side)
    return SegmentationExamples(Cached(load, len(pairs), cache_bytes=room), config.augmentation)


def _probability_files(
    samples: tuple[Sample, ...], config: SegmentConfig, masks: Artifact | None
) -> list[tuple[Path, Path]]:
    """Return image and class probabilities of every sample.

    Raises:
        InvalidInput: no stage is given that could have made them, or some are missing.
    """
    hint = "Set save_probabilities: true in the predict stage that they come from"
    if masks is None:
        raise InvalidInput(
            "segment: labels: soft, but there are no class probabilities to train on.",
            hint=f"Name a predict stage among its needs (or --masks DIR). {hint}.",
        )
    files = [(sample.image, probability_path(masks.path, sample.id)) for sample in samples]
    missing = [sample.id for sample, (_, path) in zip(samples, files, strict=True) if not path.is_file()]
    if missing:
        raise InvalidInput(
            f"{masks.path}: labels: soft, but {len(missing)} of {len(samples)} images of split {config.split!r} have "
            f"no class probabilities (probabilities/ID.npz) there: {listing(missing)}.",
            hint=f"{hint}, and splits: [{config.split}].",
        )
    return files


def _pairs(ctx: Context[SegmentConfig], log: Callable[[str], None] = lambda line: None) -> tuple[Sample, ...]:
    """Return the samples, each with the mask to train on.

    Args:
        ctx: of the stage.
        log: prints a note on masks that were matched by a part of their name.

    Raises:
        InvalidInput: no masks are given, or one is missing.
    """
    config, masks, samples = ctx.config, ctx.inputs["masks"], ctx.data.split(ctx.config.split)
    if config.labels == "ground-truth":
        return tuple(samples)
    if masks is None:
        raise InvalidInput(
            "segment: no masks to train on.",
            hint="Name a pseudo, crf or predict stage among its needs (or --masks DIR); to train on the true masks "
            "instead set labels: ground-truth.",
        )
    hint = "Make masks of every image of the split that the network is trained on."
    return with_masks(masks.path, samples, ctx.data, of=f"split {config.split!r}", hint=hint, log=log)


def _empty_masks(ctx: Context[SegmentConfig]) -> dict[str, int]:
    """Return how many masks to train on show no class, as a metric; nothing where there are no masks."""
    from wsss.data.masks.encodings import check_encoding

    if ctx.config.labels == "soft" or ctx.ranks.rank != 0:
        return {}
    pairs = _pairs(ctx, ctx.log)
    looks = survey(ctx, pairs)
    if ctx.config.labels == "ground-truth":
        seen = zip(pairs, (look.shown for look in looks), strict=True)
        check_encoding(seen, ctx.data.classes, where=f"segment: split {ctx.config.split!r}")
    return {"empty_masks": count_empty(ctx, pairs, [look.shows_class for look in looks])}


def _check_masks(ctx: Context[SegmentConfig]) -> None:
    """Refuse masks that teach nothing but background.

    Raises:
        InvalidInput: see `_pairs` and `require_class`; or no mask of any image that has a class shows one.
    """
    from wsss.data.checks.ground_truth import shows_class
    from wsss.data.sample import read_truth

    config, classes, pairs = ctx.config, ctx.data.classes, _pairs(ctx)
    advice = "Choose a split whose masks show a class."
    if config.labels == "pseudo":
        advice = "Lower the thresholds of the stage that made them (pseudo: policy), or look at its maps."
        hint = (
            f"If 255 means a class there, {renumber(classes)}. To train on the dataset's own masks, set labels: "
            "ground-truth (data.mask_values names their values)."
        )
        require_class(ctx.inputs["masks"], pairs, classes, purpose="to train on", hint=hint)
    expected = [sample for sample in pairs if sample.labels != ()]
    if expected and not any(shows_class(read_truth(sample, classes)) for sample in expected):
        raise InvalidInput(
            f"{expected[0].mask and expected[0].mask.parent}: none of the {len(expected)} masks to train on shows a "
            "class: all pixels are background or unsure.",
            hint=advice,
        )


def _check(config: SegmentConfig, data: Dataset) -> None:
    if config.backbone is not None:
        check_weights(config.backbone)
    samples, of = data.split(config.split), f"split {config.split!r}"
    if config.labels == "ground-truth":
        from wsss.data.checks.ground_truth import check_truth, require_masks

        hint = "Choose a split that has masks, or train on labels: pseudo."
        require_masks(data, samples, of=of, hint=hint, start="segment: ")
        check_truth(samples, data.classes, where=f"segment: {of}")


def _reads(config: SegmentConfig) -> list[Read]:
    reads = [Read(config.split, "images")]
    return [*reads, Read(config.split, "masks")] if config.labels == "ground-truth" else reads


def _prepare(config: SegmentConfig, data: Dataset) -> None:
    from wsss.models.backbones import check_weights_fit

    if config.backbone is not None:
        check_weights_fit(config.backbone)


def _check_inputs(config: SegmentConfig, ids: Mapping[str, Sequence[str]]) -> None:
    if config.backbone is None and ids.get("classifier"):
        raise InvalidInput(
            f"{NO_TRUNK} (classifier: {listing(ids['classifier'])})",
            hint="Leave the classifier out of the stage's needs, or choose another head.",
        )


def _ready(ctx: Context[SegmentConfig]) -> None:
    from wsss.models.classifier import load_classifier

    config, masks, classifier = ctx.config, ctx.inputs["masks"], ctx.inputs["classifier"]
    samples = ctx.data.split(config.split)
    if config.labels == "soft":
        _probability_files(samples, config, masks)
    else:
        _check_masks(ctx)
    if classifier is not None:
        load_classifier(classifier.path)


def _inspect(ctx: Context[SegmentConfig]) -> None:
    if ctx.config.labels == "soft":
        inspect_probabilities(ctx, ctx.data.split(ctx.config.split), ctx.inputs["masks"].path)
    else:
        inspect_masks(ctx, _pairs(ctx))


STAGE = Stage(
    name="segment",
    version=1,
    config=SegmentConfig,
    run=run,
    provides="segmenter",
    resumes=True,
    inputs={
        "masks": Input(("masks",), f"folder of a pseudo, crf or predict stage, or {ANY_FOLDER}", optional=True),
        "classifier": Input(("classifier",), "start from the trunk of this classifier", optional=True),
    },
    reads=_reads,
    needs_splits=lambda config: () if config.labels == "ground-truth" else (config.split,),
    needs_settings=lambda config: {"masks": {"save_probabilities": True}} if config.labels == "soft" else {},
    check=_check,
    check_inputs=_check_inputs,
    prepare=_prepare,
    ready=_ready,
    inspect=_inspect,
    trains=lambda config: config.images_per_step,
)
