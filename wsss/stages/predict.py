"""Masks of any split, or of any folder of images, by a trained segmentation network.

Memory: ``max_side`` bounds what goes through the network (that size times the largest scale), but probabilities are
kept at the images' own size: 4 bytes × classes × pixels of a batch, several times over while scales are summed. A
photograph of 24 megapixels and 21 classes needs 2 GB for each such array; make much larger ones smaller beforehand.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from wsss.errors import InvalidInput, listing
from wsss.io.layout import mask_path, probability_path
from wsss.pipeline.stage import Context, Input, Read, Result, Stage, StageConfig
from wsss.validation import AddedLater

if TYPE_CHECKING:
    from wsss.data.sample import Classes, Dataset, Sample
    from wsss.models.segmenters import SegmentationNetwork

Scale = Annotated[float, Field(gt=0, le=8)]


class PredictConfig(StageConfig):
    """Config of `predict`."""

    splits: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="splits to predict; by default val, unless a folder is given"
    )
    images: Path | None = Field(default=None, description="a folder of images to predict instead")
    recursive: Annotated[bool, AddedLater()] = Field(
        default=False, description="also the images in folders below that one; a/b.jpg becomes a__b.png"
    )
    scales: tuple[Scale, ...] = Field(default=(1.0,), min_length=1, description="scale factors of the image")
    flip: bool = Field(default=False, description="also use the mirrored image")
    max_side: int | None = Field(
        default=None, ge=16, description="maximum longer side of the network's input; larger images are scaled down"
    )
    save_probabilities: bool = Field(default=False, description="also write class probabilities (float16 npz)")
    batch_size: int = Field(default=1, ge=1, description="images of one size that go through the network together")

    @model_validator(mode="after")
    def _one_source(self) -> PredictConfig:
        if self.images is not None and self.splits is not None:
            raise ValueError("give either splits or images, not both")
        if self.recursive and self.images is None:
            raise ValueError("recursive is for a folder of images; splits say themselves what is in them")
        return self

    @property
    def chosen_splits(self) -> tuple[str, ...]:
        """The splits to predict; none when a folder of images is given."""
        return () if self.images is not None else self.splits or ("val",)


def run(ctx: Context[PredictConfig]) -> Result:
    """Predict, batch by batch."""
    import torch

    from wsss.stages.batches import work_in_batches
    from wsss.train.runtime import deterministic, torch_device

    config = ctx.config
    model, classes = _load(ctx)
    samples = _samples(config, ctx.data)
    if config.images is None:
        classes = ctx.data.classes  # the masks lie beside this dataset's, which may not be the one trained on
    model.to(torch_device(ctx.device)).to(memory_format=torch.channels_last)
    with deterministic(ctx.device, ctx.seed):
        work_in_batches(
            ctx,
            samples,
            lambda batch: _predict(model, classes, batch, config, ctx.out),
            batch_size=config.batch_size,
            outputs=lambda sample: _outputs(config, ctx.out, sample.id),
            readable=_read,
            description="prediction",
        )
    if config.images is not None and ctx.ranks.rank == 0:
        _describe(config.images, config, samples, classes, ctx)
    ctx.ranks.barrier()
    metrics = {"images": len(samples), "classes_predicted": _classes_predicted(samples, ctx.out, classes)}
    return Result(metrics, {"predict_scales": list(config.scales), "predict_flip": config.flip})


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
            mend="Choose a folder (--out or --run-dir) beside that of the images.",
        )


def _predict(
    model: SegmentationNetwork, classes: Classes, batch: tuple[Sample, ...], config: PredictConfig, out: Path
) -> None:
    import numpy as np

    from wsss.io.arrays import write_arrays
    from wsss.io.images import read_image
    from wsss.io.masks import write_mask
    from wsss.models.inference import class_probabilities

    images = np.stack([read_image(sample.image) for sample in batch])
    probabilities = class_probabilities(model, images, scales=config.scales, flip=config.flip, max_side=config.max_side)
    masks = probabilities.argmax(1).cpu().numpy().astype(np.uint8)
    for place, sample in enumerate(batch):
        if config.save_probabilities:
            arrays: dict[str, Any] = {
                "probabilities": probabilities[place].cpu().numpy().astype(np.float16),
                "classes": np.arange(len(classes)),
                "size": np.asarray(images.shape[1:3], np.int64),
            }
            write_arrays(probability_path(out, sample.id), arrays)
        write_mask(mask_path(out, sample.id), classes.decode(masks[place]))


def _outputs(config: PredictConfig, out: Path, image_id: str) -> list[Path]:
    masks = [mask_path(out, image_id)]
    return [*masks, probability_path(out, image_id)] if config.save_probabilities else masks


def _read(path: Path) -> Any:
    from wsss.io.arrays import read_arrays
    from wsss.io.masks import read_mask

    return read_arrays(path) if path.suffix == ".npz" else read_mask(path)


def _classes_predicted(samples: tuple[Sample, ...], out: Path, classes: Classes) -> dict[str, int]:
    """Return per class in how many images it was predicted."""
    import numpy as np

    from wsss.io.masks import read_mask

    counts = dict.fromkeys(classes.names, 0)
    for sample in samples:
        path = mask_path(out, sample.id)
        for index in np.unique(classes.encode(read_mask(path), where=str(path))):
            counts[classes.names[index]] += 1
    return counts


def _samples(config: PredictConfig, data: Dataset) -> tuple[Sample, ...]:
    if config.images is None:
        return data.samples(config.chosen_splits)
    from wsss.data.imagefolder import images_in

    return images_in(config.images, recursive=config.recursive)


def _describe(
    images: Path, config: PredictConfig, samples: tuple[Sample, ...], classes: Classes, ctx: Context[PredictConfig]
) -> None:
    """Write what the masks are of and what their values mean; say what was left out."""
    from wsss.data.imagefolder import has_images_below
    from wsss.data.predicted import Predicted, write_predicted

    files = {sample.id: sample.image.relative_to(images).as_posix() for sample in samples}
    write_predicted(ctx.out, Predicted(classes, files))
    if not config.recursive and has_images_below(images):
        ctx.log(f"note: the images in folders below {images} are left out; --recursive takes them.")


def _reads(config: PredictConfig) -> list[Read]:
    return [Read(split, "images") for split in config.chosen_splits]


def _check(config: PredictConfig, data: Dataset) -> None:
    _samples(config, data)


STAGE = Stage(
    name="predict",
    version=1,
    config=PredictConfig,
    run=run,
    provides="masks",
    resumes=True,
    help="Predict masks of a split, or of a folder of images.",
    inputs={
        "segmenter": Input(("segmenter",), "folder of a segment stage, or of any network it made", alias="weights")
    },
    reads=_reads,
    covers=lambda config: config.chosen_splits or None,
    check=_check,
    ready=_ready,
)
