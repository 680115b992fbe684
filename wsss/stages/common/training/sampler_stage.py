"""Training of a sampler in a trained classifier, shared by `expand` and `shrink`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from wsss.errors import InvalidInput, RunFailed, listing
from wsss.io.files.stage_files import offsets_path
from wsss.pipeline.stage import Context, Input, Result, Stage, StageConfig
from wsss.stages.common.inference.input_classifier import load_input_classifier
from wsss.stages.common.training.classifier_training import (
    TILES,
    LabelledConfig,
    check_examples,
    check_labelled,
    labelled_reads,
    ready_labelled,
    train_on_labels,
)
from wsss.train.config import AdamWConfig, OptimiserConfig

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from wsss.data.sample import Sample
    from wsss.models.classifier import CAMClassifier
    from wsss.models.sampler_config import SamplerConfig, SamplingConfig
    from wsss.models.samplers import DeformableSampler

Merge = Literal["expansion", "shrinkage", "mean", "max"]
Placement = Literal["bottleneck", "features"]
Scope = Literal["offsets", "kernel", "sampler", "head", "trunk"]

SCOPES = "offsets (branch), kernel, sampler (both), head (all layers after the sampler), trunk"
AREA = (
    "weight μ of the area term in the loss (mean area of the maps of present classes): positive values shrink the "
    "maps, negative values enlarge them; reversed for offsets with gradient reversal"
)


Insert = Callable[["CAMClassifier", Context[Any]], None]
"""Inserts the sampler of the config into a classifier."""


def sampler_stage(
    name: str, config: type[StageConfig], run: Callable[[Any], Result], insert: Insert, origin: str
) -> Stage[Any]:
    """Return the stage; ``origin`` names the stages that provide its classifier, for the help."""

    def ready(ctx: Context[Any]) -> None:
        insert(load_input_classifier(ctx), ctx)
        ready_labelled(ctx)

    return Stage(
        name=name,
        version=2,
        config=config,
        run=run,
        provides="classifier",
        resumes=True,
        inputs={"classifier": Input(("classifier",), f"folder of {origin}"), "tiles": TILES},
        reads=labelled_reads,
        check=check_labelled,
        check_inputs=check_examples,
        ready=ready,
        trains=lambda config: config.images_per_step,
    )


LARGEST = 1024
"""Longer side in pixels to which images are downscaled before offsets are measured, unless ``max_side`` is set."""

WATCHED = 32
"""Number of images whose offsets are measured after every epoch: the first of val, or of split without val."""


class SamplingTraining(LabelledConfig):
    """Training of a sampler and the classifier around it.

    The defaults are those of the presets for photographs; docs/esol.md lists the ablations.
    """

    optimiser: OptimiserConfig = Field(
        default_factory=lambda: AdamWConfig(lr=1e-3, head_lr_factor=1, weight_decay=1e-4),
        description="optimiser: sgd or adamw, with its settings",
    )
    trainable: tuple[Scope, ...] = Field(
        default=("offsets", "kernel", "head"), min_length=1, description=f"trainable parts: {SCOPES}"
    )
    offset_lr_factor: float = Field(
        default=1.0, gt=0, description="learning rate of the offset branch, as a multiple of optimiser.lr"
    )
    kernel_lr_factor: float = Field(
        default=0.1, gt=0, description="learning rate of the sampler's kernel, as a multiple of optimiser.lr"
    )
    area: float = Field(default=0.0, description=AREA)
    offset_images: int = Field(
        default=6,
        ge=0,
        description="number of images of val (of split, if val is not set) whose offsets are saved for the report",
    )


def check_trainable(config: SamplingTraining, sampler: SamplerConfig | None) -> None:
    """Validate an explicit ``trainable``; the default skips parts that do not exist.

    Raises:
        ValueError: a part does not exist, or learned offsets are not trained.
    """
    if "trainable" not in config.model_fields_set:
        return
    possible = {"head", "trunk"}
    if sampler is not None:
        possible |= {"kernel", "sampler"} | ({"offsets"} if sampler.offsets == "learned" else set())
    missing = [scope for scope in config.trainable if scope not in possible]
    if missing:
        why = "there is no sampler" if sampler is None else f"sampler.offsets is {sampler.offsets!r}"
        raise ValueError(
            f"trainable: cannot train {listing(missing)}, because {why}; expected {listing(sorted(possible))}"
        )
    if "offsets" in possible and not {"offsets", "sampler"}.intersection(config.trainable):
        raise ValueError(
            f"trainable: without offsets ({listing(config.trainable)}), they stay at their initial values near 0; add "
            "offsets, or set sampler.offsets to none"
        )


def insert_samplers(classifier: CAMClassifier, sampling: SamplingConfig) -> None:
    """Insert samplers into a classifier.

    Raises:
        InvalidInput: they do not fit the features of the classifier.
    """
    try:
        classifier.resample(sampling)
    except ValueError as error:
        raise InvalidInput(str(error), subject="sampler") from error


def train_sampler(
    ctx: Context[Any], name: str, classifier: CAMClassifier, sampler: DeformableSampler | None
) -> dict[str, Any]:
    """Train a sampler and the classifier around it; write the classifier, and the offsets on some images.

    Args:
        ctx: its config is a `SamplingTraining`.
        classifier: the loaded classifier, with the new sampler inserted.
        sampler: the new sampler, if any.

    Returns:
        Metrics, including statistics of the offsets.

    Raises:
        RunFailed: the offsets are not finite.
    """
    from wsss.models.classifier import save_classifier
    from wsss.train.tasks.classification import multilabel_loss
    from wsss.train.tasks.sampler_training import LogitsAndArea, area_loss, offset_summary, sampler_groups

    config: SamplingTraining = ctx.config
    groups = sampler_groups(
        classifier,
        sampler,
        config.optimiser,
        trainable=config.trainable,
        offset_factor=config.offset_lr_factor,
        kernel_factor=config.kernel_lr_factor,
    )
    shown = config.val or config.split
    samples = ctx.data.split(shown) if sampler and shown is not None else ()

    def offset_statistics() -> dict[str, float]:
        offsets = [_offsets(classifier, sample, config.max_side)[0] for sample in samples[:WATCHED]]
        return offset_summary(offsets) if offsets else {}

    metrics = train_on_labels(
        ctx,
        name,
        classifier,
        groups,
        network=LogitsAndArea(classifier) if config.area else None,
        loss=partial(area_loss, config.area) if config.area else multilabel_loss,
        extra_metrics=offset_statistics,
    )
    if ctx.ranks.rank == 0:
        classifier.eval()
        metrics |= offset_statistics()
        for sample in samples[: config.offset_images]:
            _save_offsets(ctx.out, classifier, sample, config.max_side)
        save_classifier(ctx.out, classifier, ctx.data.classes)
    return metrics


def _save_offsets(out: Path, classifier: CAMClassifier, sample: Sample, max_side: int | None) -> None:
    from wsss.io.rasters.offsets import Offsets, write_offsets

    offsets, size, factor = _offsets(classifier, sample, max_side)
    taps = offsets[0].unflatten(0, (-1, 2)).cpu().numpy()
    trunk = classifier.backbone
    stride, origin = trunk.output_stride * factor, trunk.output_offset * factor + (factor - 1) / 2
    try:
        write_offsets(offsets_path(out, sample.id), Offsets(taps, stride, size, origin))
    except ValueError as error:
        raise RunFailed(
            f"the offsets diverged: {error}",
            subject=f"sampler: {sample.id}",
            hint="Set sampler.max_offset to a number of feature pixels, or lower offset_lr_factor.",
        ) from error


def _offsets(classifier: CAMClassifier, sample: Sample, max_side: int | None) -> tuple[Tensor, tuple[int, int], float]:
    """Return the offsets ``(1, 2·T, h, w)`` of the last sampler, the image size, and pixels per pixel of the input."""
    import torch

    from wsss.data.image_transforms.resizing import reduced
    from wsss.io.rasters.rgb_images import read_image

    original = read_image(*sample.source)
    image = reduced(original, max_side or LARGEST)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].to(classifier.head.weight.device)
    with torch.no_grad():
        offsets = classifier.samplers.offsets(classifier.features(pixels))
    assert offsets is not None, "the classifier has a sampler"
    return offsets, (original.shape[0], original.shape[1]), max(original.shape[:2]) / max(image.shape[:2])
