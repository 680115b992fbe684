"""Predict masks for dataset splits or a folder of images with a trained segmentation network.

Photographs of several megapixels are predicted a few rows at a time, or in tiles unless ``max_side`` downscales them
(see `wsss.models.segmentation_networks.blockwise_prediction`): besides the tile, memory holds the decoded image (7
bytes per pixel while it is read, 6 to 39 with more than 8 bits, measured by ``benchmarks/deep_images.py``; then 3) and
its mask. ``save_probabilities`` needs another 2 bytes × classes × pixels, in memory and on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from wsss.data.readers.image_reading import BandsSetting, PageSetting, ScalingSetting
from wsss.errors import InvalidInput, listing
from wsss.io.rasters.working_size import MaxSide
from wsss.models.config import PrecisionSetting, Scale
from wsss.models.tile_settings import OVERLAP_HELP, TILE_HELP, Overlap, TileSide, check_tiles
from wsss.pipeline.stage import Context, Input, Kind, Read, Result, Stage, StageConfig
from wsss.stages.common.image_size_notes import note_predicted
from wsss.stages.common.inference import predict_batch
from wsss.stages.common.inference.folder_images import as_trained, folder_notes
from wsss.stages.common.inference.input_classifier import require_same_classes
from wsss.stages.common.inference.predict_batch import outputs_of
from wsss.stages.common.inference.prediction_record import (
    discard_outdated,
    failed_images,
    failure_of,
    keeps_masks,
    write_record,
)
from wsss.train.config import MAX_BATCH

if TYPE_CHECKING:
    from wsss.data.classes import Classes
    from wsss.data.dataset import Dataset
    from wsss.data.readers.imagefolder import ImageFolder
    from wsss.data.sample import Sample
    from wsss.models.segmentation_networks.segmenters import SegmentationNetwork


class PredictConfig(StageConfig):
    """Config of `predict`."""

    splits: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="splits to predict; by default val, unless images is set"
    )
    images: Path | None = Field(default=None, description="folder of images to predict instead of splits")
    recursive: bool = Field(default=False, description="include images in subfolders; the mask of a/b.jpg is a__b.png")
    scaling: ScalingSetting = Field(
        default=None,
        description="scaling of images with more than 8 bits in the images folder: full, or [low, high]; null: as in "
        "training",
    )
    page: PageSetting = Field(
        default=None, description="page of TIFF files in the images folder, from 1; null: as in training"
    )
    bands: BandsSetting = Field(
        default=None, description="bands for red, green and blue in the images folder, from 1; null: as in training"
    )
    scales: tuple[Scale, ...] = Field(default=(1.0,), min_length=1, description="scale factors of the image")
    flip: bool = Field(default=False, description="also use the mirrored image")
    max_side: MaxSide = None
    tile: TileSide | None = Field(
        default=None,
        description=f"{TILE_HELP}, except that images of more than 4.2 megapixels at the largest scale, or 268 million "
        "class probabilities, are predicted in tiles of 1024 with an overlap of 256",
    )
    overlap: Overlap | None = Field(default=None, description=OVERLAP_HELP)
    save_probabilities: bool = Field(default=False, description="also write class probabilities (float16, .npz)")
    batch_size: int = Field(default=1, ge=1, le=MAX_BATCH, description="images of equal size per forward pass")
    precision: PrecisionSetting = "32-true"
    adapt_batchnorm: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="adapt BatchNorm to images whose colours or contrast differ from the training images: α times the "
        "training statistics plus 1 − α times the statistics of the image (of the tile, if it is predicted in tiles); "
        "null: training statistics only",
    )
    labels: Literal["ignore", "restrict"] = Field(
        default="ignore",
        description="use of image-level labels: ignore, or restrict (predict only the classes in the labels of an "
        "image; images without labels are not restricted)",
    )

    @model_validator(mode="after")
    def _one_source(self) -> PredictConfig:
        if self.images is not None and self.splits is not None:
            raise ValueError("expected either splits or images, got both")
        if self.recursive and self.images is None:
            raise ValueError("recursive requires images, a folder; splits list their images")
        if self.images is None and (self.scaling, self.page, self.bands) != (None, None, None):
            raise ValueError("scaling, page and bands require images, a folder; for splits, set them under data:")
        if self.labels == "restrict" and self.images is not None:
            raise ValueError("labels: restrict requires splits of a dataset; a folder of images has no labels")
        return self

    @model_validator(mode="after")
    def _tiles_of_the_whole_image(self) -> PredictConfig:
        check_tiles(self.tile, self.overlap, self.scales, self.max_side)
        if self.tile is not None and self.adapt_batchnorm is not None:
            raise ValueError(
                "tile: adapt_batchnorm needs statistics of the whole image, which tiles do not have; omit one"
            )
        return self

    @property
    def chosen_splits(self) -> tuple[str, ...]:
        """The splits to predict; empty for a folder of images."""
        return () if self.images is not None else self.splits or ("val",)


def run(ctx: Context[PredictConfig]) -> Result:
    """Predict batch by batch; failures are recorded in ``images.json`` after all other images are finished.

    Raises:
        RunFailed: some images failed; lists them.
    """
    import torch

    from wsss.io.process.retained_memory import retained_memory
    from wsss.models.mixed_precision import MixedPrecision
    from wsss.models.weights.folding import fold_for_inference
    from wsss.models.windows.tile_limits import tiling_of
    from wsss.stages.common.inference.batches import batches_at_once, gather_failures, work_in_batches
    from wsss.stages.common.inference.inference_precision import used_precision
    from wsss.train.runtime import deterministic, torch_device

    config = ctx.config
    model, classes = _load(ctx)
    tiling = tiling_of(model, config.tile, config.overlap, subject="predict.")
    folder = _folder(config)
    samples = ctx.data.samples(config.chosen_splits) if folder is None else as_trained(ctx, folder)
    if folder is None:
        classes = ctx.data.classes  # mask values on disk may differ from the training dataset's
    if ctx.ranks.rank == 0:
        _begin(ctx, folder, samples, classes)
    ctx.ranks.barrier()
    model.to(torch_device(ctx.device)).to(memory_format=torch.channels_last)
    fold_for_inference(model)
    network = MixedPrecision(model, used_precision(ctx))
    with deterministic(ctx.device, ctx.seed), retained_memory():
        errors = work_in_batches(
            ctx,
            samples,
            lambda batch: predict_batch.predict_batch(network, classes, batch, config, tiling, ctx.out),
            batch_size=config.batch_size,
            outputs=lambda sample: outputs_of(config, ctx.out, sample.id),
            check=lambda sample: predict_batch.check_outputs(config, ctx.out, sample, classes),
            description="prediction",
            at_once=batches_at_once(ctx.device),
        )
    failed = failed_images(ctx, samples, gather_failures(ctx, errors))
    if ctx.ranks.rank == 0:
        write_record(ctx, samples, classes, failed)
    ctx.ranks.barrier()
    if failed:
        raise failure_of(failed, len(samples), ctx.out)
    return _result(ctx, samples, classes, note_predicted(ctx, samples, len(classes), model, tiling))


def _begin(
    ctx: Context[PredictConfig], folder: ImageFolder | None, samples: Sequence[Sample], classes: Classes
) -> None:
    """Log skipped and renamed images, and discard outdated masks of an earlier run with failures."""
    notes = _unlabelled_notes(ctx.config, samples) if folder is None else folder_notes(ctx.config, folder)
    for note in notes:
        ctx.log(f"note: {note}")
    discard_outdated(ctx, samples, classes)


def _unlabelled_notes(config: PredictConfig, samples: Sequence[Sample]) -> list[str]:
    unlabelled = [sample.id for sample in samples if sample.labels is None]
    if config.labels != "restrict" or not unlabelled:
        return []
    count = f"{len(unlabelled)} of {len(samples)} images"
    return [f"{count} have no labels, so any class may be predicted: {listing(unlabelled)}."]


def _load(ctx: Context[PredictConfig]) -> tuple[SegmentationNetwork, Classes]:
    """Return the network and its classes.

    Raises:
        InvalidInput: the folder contains no network, its classes differ from those of the dataset, or its BatchNorm
            cannot be adapted.
    """
    from wsss.models.segmentation_networks.segmenters import load_segmenter

    folder = ctx.inputs["segmenter"].path
    model, classes = load_segmenter(folder)
    if ctx.config.images is None:
        require_same_classes(folder, "network", classes.names, ctx.data.classes.names)
    if ctx.config.adapt_batchnorm is not None:
        from wsss.models.segmentation_networks.batchnorm_calibration import calibrate_batchnorm

        calibrate_batchnorm(model, ctx.config.adapt_batchnorm)
    return model, classes


def _ready(ctx: Context[PredictConfig]) -> None:
    images = ctx.config.images
    if images is not None and ctx.out.resolve().is_relative_to(images.resolve()):
        raise InvalidInput(
            f"the output folder must not be inside the folder of images, {images}: the masks would change the input",
            subject=ctx.out,
            hint="Choose another output folder (--out or --run-dir).",
        )
    from wsss.models.windows.tile_limits import tiling_of

    network, _ = _load(ctx)  # before an earlier result is deleted
    tiling_of(network, ctx.config.tile, ctx.config.overlap, subject="predict.")


def _result(ctx: Context[PredictConfig], samples: Sequence[Sample], classes: Classes, noted: dict[str, Any]) -> Result:
    """Return the number of images per predicted class, and the agreement with the image-level labels."""
    from wsss.pipeline.run.items import map_shared
    from wsss.stages.common.inference.inference_precision import stated_precision
    from wsss.stages.common.inference.label_check import class_fractions, label_check

    config = ctx.config
    shares = map_shared(ctx, samples, partial(class_fractions, out=ctx.out, classes=classes), "reading back")
    counts = {name: sum(bool(share[index]) for share in shares) for index, name in enumerate(classes.names)}
    metrics: dict[str, Any] = {"images": len(samples), "classes_predicted": counts}
    metrics |= noted
    provenance: dict[str, Any] = {"predict_scales": list(config.scales), "predict_flip": config.flip}
    provenance |= {f"predict_{key}": value for key, value in (stated_precision(ctx) | noted).items()}
    if config.adapt_batchnorm is not None:
        provenance["predict_adapt_batchnorm"] = config.adapt_batchnorm
    if config.labels == "restrict":
        metrics["labels"] = provenance["predict_labels"] = config.labels
    return Result(metrics | label_check(samples, shares, classes.names), provenance)


def _folder(config: PredictConfig) -> ImageFolder | None:
    """Return the folder of images to predict; ``None`` for splits."""
    if config.images is None:
        return None
    from wsss.data.readers.imagefolder import images_in

    return images_in(config.images, recursive=config.recursive)


def _reads(config: PredictConfig) -> list[Read]:
    kinds: tuple[Kind, ...] = ("images", "labels")
    return [Read(split, kind) for split in config.chosen_splits for kind in kinds]


def _check(config: PredictConfig, data: Dataset) -> None:
    if _folder(config) is not None:
        return
    samples = data.samples(config.chosen_splits)
    if config.labels == "restrict" and all(sample.labels is None for sample in samples):
        raise InvalidInput(
            f"restrict requires image-level labels; no image of {listing(config.chosen_splits)} has any",
            subject="predict.labels",
            hint="Add the images to the label file, or omit predict.labels.",
        )


STAGE = Stage(
    name="predict",
    version=4,
    config=PredictConfig,
    run=run,
    provides="masks",
    resumes=True,
    inputs={
        "segmenter": Input(
            ("segmenter",), "folder of a segment or calibrate stage, or a copy of its network", alias="weights"
        )
    },
    reads=_reads,
    covers=lambda config: config.chosen_splits or None,
    check=_check,
    ready=_ready,
    keeps=keeps_masks,
)
