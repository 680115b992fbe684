"""Masks of any split, or of any folder of images, by a trained segmentation network.

Memory: photographs of several megapixels are predicted a few rows at a time, or in tiles where ``max_side`` doesn't
reduce them (see `wsss.models.blockwise_prediction`), so that one of 24 megapixels needs little more than one of 2. With
``save_probabilities`` 2 bytes × classes × pixels come on top, in memory and (before compression) on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from wsss.errors import InvalidInput, counted, listing
from wsss.io.files.stage_files import mask_path
from wsss.models.config import Scale
from wsss.pipeline.stage import Context, Input, Kind, Read, Result, Stage, StageConfig
from wsss.stages.common import predict_batch
from wsss.stages.common.predict_batch import outputs_of
from wsss.stages.common.prediction_record import discard_outdated, failed_images, failure_of, keeps_masks, write_record
from wsss.stages.common.reduced import note_predicted
from wsss.train.config import MOST_IMAGES

if TYPE_CHECKING:
    from wsss.data.readers.imagefolder import ImageFolder
    from wsss.data.sample import Classes, Dataset, Sample
    from wsss.models.segmenters import SegmentationNetwork


class PredictConfig(StageConfig):
    """Config of `predict`."""

    splits: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="splits to predict; by default val, unless a folder is given"
    )
    images: Path | None = Field(default=None, description="a folder of images to predict instead")
    recursive: bool = Field(
        default=False, description="also the images in folders below that one; a/b.jpg becomes a__b.png"
    )
    scales: tuple[Scale, ...] = Field(default=(1.0,), min_length=1, description="scale factors of the image")
    flip: bool = Field(default=False, description="also use the mirrored image")
    max_side: int | None = Field(
        # Unless they are reduced, images of more than about 4 megapixels are predicted in overlapping tiles.
        default=None,
        ge=16,
        description="maximum longer side in pixels; larger images are reduced; null: never",
    )
    save_probabilities: bool = Field(default=False, description="also write class probabilities (float16 npz)")
    batch_size: int = Field(
        default=1, ge=1, le=MOST_IMAGES, description="images of one size that go through the network together"
    )
    labels: Literal["ignore", "restrict"] = Field(
        default="ignore",
        description="image-level labels: restrict leaves out the classes that an image doesn't have; images without "
        "labels may show any class",
    )

    @model_validator(mode="after")
    def _one_source(self) -> PredictConfig:
        if self.images is not None and self.splits is not None:
            raise ValueError("give either splits or images, not both")
        if self.recursive and self.images is None:
            raise ValueError("recursive is for a folder of images; a split lists its images")
        if self.labels == "restrict" and self.images is not None:
            raise ValueError(
                "labels: restrict is for splits of a dataset; a folder of images has no image-level labels"
            )
        return self

    @property
    def chosen_splits(self) -> tuple[str, ...]:
        """The splits to predict; none when a folder of images is given."""
        return () if self.images is not None else self.splits or ("val",)


def run(ctx: Context[PredictConfig]) -> Result:
    """Predict, batch by batch; what fails is recorded in ``images.json`` once all other images are done.

    Raises:
        RunFailed: names the images that failed.
    """
    import torch

    from wsss.stages.common.batches import work_in_batches
    from wsss.train.runtime import deterministic, torch_device

    config = ctx.config
    model, classes = _load(ctx)
    folder = _folder(config)
    samples = ctx.data.samples(config.chosen_splits) if folder is None else folder.samples
    if folder is None:
        classes = ctx.data.classes  # the masks lie beside this dataset's, which may not be the one trained on
    if ctx.ranks.rank == 0:
        _begin(ctx, folder, samples, classes)
    ctx.ranks.barrier()
    model.to(torch_device(ctx.device)).to(memory_format=torch.channels_last)
    with deterministic(ctx.device, ctx.seed):
        errors = work_in_batches(
            ctx,
            samples,
            lambda batch: predict_batch.predict_batch(model, classes, batch, config, ctx.out),
            batch_size=config.batch_size,
            outputs=lambda sample: outputs_of(config, ctx.out, sample.id),
            check=lambda sample: predict_batch.check_outputs(config, ctx.out, sample, classes),
            description="prediction",
        )
    ctx.ranks.barrier()
    failed = failed_images(ctx, samples, errors)
    if ctx.ranks.rank == 0:
        write_record(ctx, samples, classes, failed)
    ctx.ranks.barrier()
    if failed:
        raise failure_of(failed, len(samples), ctx.out)
    return _result(ctx, samples, classes)


def _begin(
    ctx: Context[PredictConfig], folder: ImageFolder | None, samples: Sequence[Sample], classes: Classes
) -> None:
    """Log what is left out or treated specially, and discard masks of images that changed since others failed."""
    for note in _notes(ctx.config, folder, samples):
        ctx.log(f"note: {note}")
    discard_outdated(ctx, samples, classes)


def _notes(config: PredictConfig, folder: ImageFolder | None, samples: Sequence[Sample]) -> list[str]:
    if config.images is not None and folder is not None:
        from wsss.data.readers.imagefolder import left_out_notes

        notes = left_out_notes(config.images, recursive=config.recursive)
        if folder.renamed:
            shown = listing((f"{file!r} is {one}" for one, file in folder.renamed.items()), limit=3)
            count = counted(len(folder.renamed), "mask")
            notes.append(f"{count} with other names than the images (images.json lists them): {shown}.")
        if folder.unnamed:
            notes.append(f"images whose names are no valid text are left out: {listing(folder.unnamed)}.")
        if folder.closed:
            notes.append(f"folders that can't be read are left out: {listing(folder.closed)}.")
        return notes
    without = [sample.id for sample in samples if sample.labels is None]
    if config.labels == "restrict" and without:
        shown = listing(without)
        return [f"{len(without)} of {len(samples)} images have no labels, so any class may be predicted: {shown}."]
    return []


def _load(ctx: Context[PredictConfig]) -> tuple[SegmentationNetwork, Classes]:
    """Return the network and the classes it knows.

    Raises:
        InvalidInput: no network there, or one of other classes than the dataset's.
    """
    from wsss.models.segmenters import load_segmenter

    model, classes = load_segmenter(ctx.inputs["segmenter"].path)
    if ctx.config.images is None and classes.names != ctx.data.classes.names:
        raise InvalidInput(
            f"The network knows the classes {listing(classes.names, limit=30)}; "
            f"the dataset has {listing(ctx.data.classes.names, limit=30)}."
        )
    return model, classes


def _ready(ctx: Context[PredictConfig]) -> None:
    _check_apart(ctx.config.images, ctx.out)
    _load(ctx)


def _check_apart(images: Path | None, out: Path) -> None:
    """Refuse to write among the images that are read.

    Raises:
        InvalidInput: ``out`` is in ``images``.
    """
    if images is not None and out.resolve().is_relative_to(images.resolve()):
        raise InvalidInput(
            f"{out} lies inside the folder of images, {images}: what is written there would change the input, and "
            "the stage would never be finished.",
            hint="Choose a folder (--out or --run-dir) beside that of the images.",
        )


def _result(ctx: Context[PredictConfig], samples: Sequence[Sample], classes: Classes) -> Result:
    """Return in how many images each class was predicted, and how that fits the image-level labels."""
    import numpy as np

    from wsss.io.rasters.label_masks import read_mask
    from wsss.stages.common.label_check import label_check

    config = ctx.config
    counts = dict.fromkeys(classes.names, 0)
    shares = []
    for sample in samples:
        path = mask_path(ctx.out, sample.id)
        mask = classes.encode(read_mask(path), where=str(path))
        shares.append(np.bincount(mask.ravel(), minlength=len(classes))[: len(classes)] / mask.size)
        for name, share in zip(classes.names, shares[-1], strict=True):
            counts[name] += bool(share)
    metrics: dict[str, Any] = {"images": len(samples), "classes_predicted": counts}
    metrics |= note_predicted(ctx, samples, len(classes))
    provenance: dict[str, Any] = {"predict_scales": list(config.scales), "predict_flip": config.flip}
    if config.labels == "restrict":
        metrics["labels"] = provenance["predict_labels"] = config.labels
    return Result(metrics | label_check(samples, shares, classes.names), provenance)


def _folder(config: PredictConfig) -> ImageFolder | None:
    """Return the images of the folder, ``None`` where splits are predicted."""
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
            f"predict.labels: restrict needs image-level labels; no image of {listing(config.chosen_splits)} has any.",
            hint="Add the images to the label file, or leave labels out.",
        )


STAGE = Stage(
    name="predict",
    version=2,
    config=PredictConfig,
    run=run,
    provides="masks",
    resumes=True,
    inputs={
        "segmenter": Input(("segmenter",), "folder of a segment stage, or of any network it made", alias="weights")
    },
    reads=_reads,
    covers=lambda config: config.chosen_splits or None,
    check=_check,
    ready=_ready,
    keeps=keeps_masks,
)
