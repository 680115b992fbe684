"""Class activation maps of all images of the chosen splits.

Memory is proportional to the pixels per forward pass: those of a batch, times the largest scale squared, on a GPU times
two with ``flip``. ``max_side`` and ``tile`` bound it for large photographs; the size of the maps (image size /
``stride``) does not change. Classifiers trained on tiles get large images in tiles by default. With tiles, class scores
are kept at the network's stride for the whole image, and pooled and normalised like those of smaller images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from wsss.errors import InvalidInput
from wsss.io.files.stage_files import cam_path
from wsss.models.attribution.config import CamMethod, PlainCam
from wsss.models.config import PrecisionSetting, Scale
from wsss.models.tile_settings import OVERLAP_HELP, TILE_HELP, Overlap, TileSide, check_tiles
from wsss.pipeline.stage import Context, Input, Kind, Read, Result, Stage, StageConfig, reads_of
from wsss.stages.common.check_outputs import check_maps
from wsss.stages.common.image_size_notes import Sizes, note_reduced, note_tiled
from wsss.stages.common.inference.adapted_classifier import adapting
from wsss.stages.common.inference.cam_batch import PLAIN, write_maps
from wsss.stages.common.inference.cam_size import CamSize, cam_size, limit, note_full_resolution
from wsss.stages.common.inference.input_classifier import load_input_classifier, load_on_all_ranks
from wsss.stages.common.inference.unknown_labels import note_unknown
from wsss.stages.common.written_maps import read_back
from wsss.train.config import MAX_BATCH
from wsss.validation import OptionName, Settings, refuse_unused

if TYPE_CHECKING:
    from wsss.data.classes import Classes
    from wsss.data.dataset import Dataset
    from wsss.data.sample import Sample
    from wsss.models.classifier import CAMClassifier


class AdaptConfig(Settings):
    """Fine-tuning of the classifier on the tiles of one image, before its maps are computed."""

    steps: int = Field(default=20, ge=1, description="optimiser steps; too many overfit the few tiles")
    lr: float = Field(default=1e-3, gt=0, description="learning rate (AdamW, constant)")


class CamConfig(StageConfig):
    """Config of `cam`."""

    splits: tuple[str, ...] = Field(default=("train",), min_length=1, description="splits to compute maps for")
    method: CamMethod = Field(
        default=PlainCam(),
        description="attribution method with its settings: cam, gradcam++, layercam, advcam, normgrad",
    )
    scales: tuple[Scale, ...] = Field(
        default=(1.0, 0.5, 1.5, 2.0), min_length=1, description="scale factors of the image"
    )
    flip: bool = Field(default=True, description="also use the mirrored image")
    stride: int = Field(default=4, ge=1, le=32, description="image pixels per map element")
    activation: Literal["relu", "sigmoid"] = Field(
        default="relu",
        description="activation of the class scores before maps are summed (method cam only); sigmoid keeps negative "
        "scores distinct, for otsu thresholds on images with interleaved object and background",
    )
    normalise: Literal["max", "minmax"] = Field(
        default="max", description="divide each map by its maximum (max), or subtract its minimum first (minmax)"
    )
    classes: Annotated[Literal["labels", "predicted"], OptionName("map-classes")] = Field(
        default="labels", description="classes with a map: those of the image-level labels, or the predicted classes"
    )
    threshold: Annotated[float, OptionName("class-threshold")] = Field(
        default=0.5, gt=0, lt=1, description="probability above which a class is predicted"
    )
    centre_prior: float = Field(
        default=0.0,
        ge=0,
        description="strength s of a centre prior, as a control for samplers: multiply maps by exp(−s·(x² + y²)), with "
        "x and y from −1 to 1 across the image; 0: off",
    )
    max_side: Annotated[int, Field(ge=16)] | Literal["auto"] | None = Field(
        default="auto",
        description="maximum side length in pixels; larger images are downscaled; null: no limit; auto: 1024, or "
        "no limit if tile is set or, with method cam, if the classifier was trained on tiles (then maps are computed "
        "in tiles)",
    )
    tile: TileSide | None = Field(default=None, description=TILE_HELP)
    overlap: Overlap | None = Field(default=None, description=OVERLAP_HELP)
    batch_size: int = Field(default=1, ge=1, le=MAX_BATCH, description="images of equal size per forward pass")
    precision: PrecisionSetting = "32-true"
    adapt: AdaptConfig | None = Field(
        default=None,
        description="fine-tune the classifier on the tiles of each image before its maps are computed; requires tiles",
    )

    @model_validator(mode="after")
    def _threshold_of_predicted_classes(self) -> CamConfig:
        if self.classes != "predicted":
            refuse_unused(self, "threshold", requires="classes: predicted", got=self.classes)
        return self

    @model_validator(mode="after")
    def _adapt_one_image_at_a_time(self) -> CamConfig:
        if self.adapt is not None and self.batch_size > 1:
            raise ValueError("adapt fine-tunes the classifier per image; set batch_size to 1")
        return self

    @model_validator(mode="after")
    def _activation_of_plain_maps(self) -> CamConfig:
        if self.activation != "relu" and self.method.name != PLAIN:
            raise ValueError(f"activation: {self.activation} requires method {PLAIN}, got {self.method.name}")
        clamp = self.method.clamp_weights if isinstance(self.method, PlainCam) else "never"
        if self.activation != "relu" and clamp != "never":
            raise ValueError(f"activation: {self.activation} requires method.clamp_weights: never, got {clamp}")
        return self

    @model_validator(mode="after")
    def _tiles_of_plain_maps(self) -> CamConfig:
        check_tiles(self.tile, self.overlap, self.scales, limit(self.max_side, self.tile))
        if self.tile is not None and self.method.name != PLAIN:
            raise ValueError(
                f"tile requires method {PLAIN}, got {self.method.name}, whose gradients need all pixels of an image"
            )
        return self

    @model_validator(mode="after")
    def _precision_of_plain_maps(self) -> CamConfig:
        if self.precision != "32-true" and self.method.name != PLAIN:
            raise ValueError(f"precision: {self.precision} requires method {PLAIN}, got {self.method.name}")
        return self


def run(ctx: Context[CamConfig]) -> Result:
    """Compute the maps, batch by batch."""
    import torch

    from wsss.io.process.retained_memory import retained_memory
    from wsss.models.weights.folding import fold_for_inference
    from wsss.stages.common.inference.batches import batches_at_once, require_all, work_in_batches
    from wsss.stages.common.inference.inference_precision import stated_precision, used_precision
    from wsss.train.runtime import deterministic, torch_device

    config = ctx.config.model_copy(update={"precision": used_precision(ctx)})
    samples = ctx.data.samples(config.splits)
    model = load_on_all_ranks(ctx)
    input_size = cam_size(model, config)
    classifier_of = adapting(ctx, model) if config.adapt else lambda sample: model
    model.to(torch_device(ctx.device)).to(memory_format=torch.channels_last)
    if not config.adapt:
        fold_for_inference(model)
    with deterministic(ctx.device, ctx.seed), retained_memory():
        failed = work_in_batches(
            ctx,
            samples,
            lambda batch: write_maps(classifier_of(batch[0]), batch, config, input_size, ctx.out),
            batch_size=config.batch_size,
            outputs=lambda sample: [cam_path(ctx.out, sample.id)],
            check=partial(_check_finished, config=config, out=ctx.out, classes=ctx.data.classes),
            description="class activation maps",
            # Gradients and fine-tuning change the state of the network or of torch.
            at_once=1 if config.adapt or config.method.name != PLAIN else batches_at_once(ctx.device),
        )
    require_all(ctx, failed, samples)
    if config.classes == "labels":
        note_unknown(ctx, samples)
    mean, sizes = read_back(ctx, samples)
    note_full_resolution(ctx, sizes, model, input_size)
    reduced = note_reduced(ctx, sizes, input_size.max_side, how="the size of the maps does not change")
    tiled = _note_tiled(ctx, sizes, model, input_size)
    metrics = {"images": len(samples), "mean_activation": mean, **reduced, **tiled}
    return Result(metrics, {"cam": _provenance(config) | stated_precision(ctx) | reduced | tiled})


def _note_tiled(
    ctx: Context[CamConfig], sizes: Sizes, classifier: CAMClassifier, input_size: CamSize
) -> dict[str, Any]:
    """Log which images were split into tiles, and return an entry for the metrics."""
    from wsss.models.attribution.class_scores import class_score_function, exceeds_tile

    tiling, max_side = input_size.tiling, input_size.max_side
    ids = [id for id, size in sizes if exceeds_tile(size, ctx.config.scales, max_side, tiling)]
    compute = class_score_function(classifier, "32-true", classifier.head.weight.device)
    tiles = dict.fromkeys(ids, tiling) if tiling is not None else {}
    return note_tiled(ctx, tiles, len(sizes), classifier, compute)


def _provenance(config: CamConfig) -> dict[str, Any]:
    plain = config.method.name == PLAIN
    settings = config.method.model_dump(mode="json", exclude={"name"}, exclude_defaults=plain)
    return {
        "method": config.method.name,
        **({"settings": settings} if settings else {}),
        **({"centre_prior": config.centre_prior} if config.centre_prior else {}),
        **({"activation": config.activation} if config.activation != "relu" else {}),
        **({"tile": config.tile} if config.tile else {}),
        **({"adapted_to_image": config.adapt.model_dump()} if config.adapt else {}),
        "scales": list(config.scales),
        "flip": config.flip,
    }


def _check_finished(sample: Sample, *, config: CamConfig, out: Path, classes: Classes) -> None:
    of = sample.labels or () if config.classes == "labels" else None
    check_maps(sample, out=out, classes=classes, of=of, stride=config.stride)


def _reads(config: CamConfig) -> list[Read]:
    kinds: tuple[Kind, ...] = ("images", "labels") if config.classes == "labels" else ("images",)
    return reads_of(config.splits, *kinds)


def _check_inputs(config: CamConfig, ids: Mapping[str, Sequence[str]]) -> None:
    if bool(config.adapt) != bool(ids.get("tiles")):
        raise InvalidInput(
            "adapt and tiles must be used together: the classifier is fine-tuned on the tiles of each image",
            subject="cam",
            hint="Either add a tiles stage to its needs and set adapt: {}, or omit both.",
        )


def _check(config: CamConfig, data: Dataset) -> None:
    samples = data.samples(config.splits)
    if config.classes == "labels":
        _require_labels(samples)


def _require_labels(samples: Sequence[Sample]) -> None:
    from wsss.data.sample import require_labels

    try:
        require_labels(samples)
    except InvalidInput as error:
        raise error.with_hint("Use cam.classes: predicted, or add the labels.") from error


def _ready(ctx: Context[CamConfig]) -> None:
    classifier = load_input_classifier(ctx)
    ctx.config.method.require_layers(classifier)
    cam_size(classifier, ctx.config)


STAGE = Stage(
    name="cam",
    version=2,
    config=CamConfig,
    run=run,
    provides="cams",
    resumes=True,
    inputs={
        "classifier": Input(("classifier",), "folder of a classify, expand or shrink stage"),
        "tiles": Input(("tiles",), "folder of a tiles stage, required by the setting adapt", optional=True),
    },
    reads=_reads,
    covers=lambda config: config.splits,
    check=_check,
    check_inputs=_check_inputs,
    ready=_ready,
)
