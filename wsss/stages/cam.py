"""Class activation maps of every image of a split.

Memory grows with the pixels that go through the network at once: those of a batch, times the largest scale squared,
times two with ``flip``. ``max_side`` bounds them for large photographs. Maps keep the images' size over ``stride``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from wsss.errors import InvalidInput, counted, listing
from wsss.io.files.stage_files import cam_path
from wsss.models.attribution.config import CamMethod, PlainCam
from wsss.models.config import Scale
from wsss.pipeline.stage import Context, Input, Kind, Read, Result, Stage, StageConfig
from wsss.stages.common.classifier_training import load_trained, trained
from wsss.stages.common.finished import check_maps
from wsss.stages.common.reduced import note_reduced
from wsss.train.config import MOST_IMAGES
from wsss.validation import OptionName, Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from wsss.data.sample import Classes, Dataset, Sample
    from wsss.models.classifier import CAMClassifier


class AdaptConfig(Settings):
    """A few training steps on an image's own tiles, before its maps are made."""

    steps: int = Field(default=20, ge=1, description="optimiser steps; many overfit the few tiles")
    lr: float = Field(default=1e-3, gt=0, description="learning rate (AdamW, constant)")


class CamConfig(StageConfig):
    """Config of `cam`."""

    splits: tuple[str, ...] = Field(default=("train",), min_length=1, description="splits to compute maps of")
    method: CamMethod = Field(
        default=PlainCam(), description="kind of map: cam, gradcam++, layercam or advcam, with its settings"
    )
    scales: tuple[Scale, ...] = Field(
        default=(1.0, 0.5, 1.5, 2.0), min_length=1, description="scale factors of the image"
    )
    flip: bool = Field(default=True, description="also use the mirrored image")
    stride: int = Field(default=4, ge=1, le=32, description="image pixels per map element")
    activation: Literal["relu", "sigmoid"] = Field(
        default="relu",
        description="activation of class scores before maps are summed (method cam only); sigmoid "
        "keeps negative scores "
        "distinct, for otsu thresholds where object and background are mixed everywhere",
    )
    normalise: Literal["max", "minmax"] = Field(
        default="max", description="max divides each map by its maximum; minmax subtracts its minimum first"
    )
    classes: Annotated[Literal["labels", "predicted"], OptionName("map-classes")] = Field(
        default="labels", description="classes with a map: those of the image-level labels, or the predicted ones"
    )
    threshold: Annotated[float, OptionName("class-threshold")] = Field(
        default=0.5, gt=0, lt=1, description="minimum probability of a predicted class"
    )
    taper: float = Field(
        default=0.0,
        ge=0,
        description="multiply maps by exp(−taper·(x² + y²)), x and y from −1 to 1 across the image: "
        "a centre prior, as a "
        "control for samplers",
    )
    max_side: int | None = Field(
        default=1024, ge=16, description="maximum longer side in pixels; larger images are reduced; null: never"
    )
    batch_size: int = Field(default=1, ge=1, le=MOST_IMAGES, description="images of equal size per forward pass")

    adapt: AdaptConfig | None = Field(
        default=None, description="adapt the classifier to each image on the labels of its own tiles; requires tiles"
    )

    @model_validator(mode="after")
    def _adapted_one_by_one(self) -> CamConfig:
        if self.adapt is not None and self.batch_size > 1:
            raise ValueError("adapt gives each image a classifier of its own; set batch_size to 1")
        return self

    @model_validator(mode="after")
    def _activation_of_plain_maps(self) -> CamConfig:
        if self.activation != "relu" and not isinstance(self.method, PlainCam):
            raise ValueError(f"activation: {self.activation} is for method cam; the method is {self.method.name}")
        return self


def run(ctx: Context[CamConfig]) -> Result:
    """Make the maps, batch by batch."""
    import torch

    from wsss.stages.common.batches import require_all, work_in_batches
    from wsss.train.runtime import deterministic, torch_device

    config = ctx.config
    samples = ctx.data.samples(config.splits)
    model = load_trained(ctx)
    classifier_of = _adapting(ctx, model) if config.adapt else lambda sample: model
    model.to(torch_device(ctx.device)).to(memory_format=torch.channels_last)
    with deterministic(ctx.device, ctx.seed):
        failed = work_in_batches(
            ctx,
            samples,
            lambda batch: _make_maps(classifier_of(batch[0]), batch, config, ctx.out),
            batch_size=config.batch_size,
            outputs=lambda sample: [cam_path(ctx.out, sample.id)],
            check=partial(_check_own, config=config, out=ctx.out, classes=ctx.data.classes),
            description="class activation maps",
        )
    require_all(failed, samples)
    ctx.ranks.barrier()
    _note_unknown(ctx, samples)
    mean, sizes = _read_back(samples, ctx.out)
    reduced = note_reduced(ctx, sizes, config.max_side, how="maps keep the size that they have without")
    settings = config.method.model_dump(mode="json", exclude={"name"})
    shown: dict[str, Any] = {"method": config.method.name}
    shown |= {"settings": settings} if settings else {}
    shown |= {"taper": config.taper} if config.taper else {}
    shown |= {"activation": config.activation} if config.activation != "relu" else {}
    shown |= {"adapted_to_image": config.adapt.model_dump()} if config.adapt else {}
    shown |= {"scales": list(config.scales), "flip": config.flip}
    shown |= reduced
    return Result({"images": len(samples), "mean_activation": mean, **reduced}, {"cam": shown})


def _check_own(sample: Sample, *, config: CamConfig, out: Path, classes: Classes) -> None:
    of = sample.labels or () if config.classes == "labels" else None
    check_maps(sample, out=out, classes=classes, of=of, stride=config.stride)


def _note_unknown(ctx: Context[CamConfig], samples: Sequence[Sample]) -> None:
    unknown = [sample.id for sample in samples if sample.unknown]
    if unknown and ctx.config.classes == "labels" and ctx.ranks.rank == 0:
        ctx.log(
            f"note: {counted(len(unknown), 'image')} with classes that may or may not be present ({listing(unknown)}): "
            "maps are made of the classes that certainly are, so pixels of the others count as background in masks "
            "made of these maps."
        )


def _adapting(ctx: Context[CamConfig], model: CAMClassifier) -> Callable[[Sample], CAMClassifier]:
    """Return a function that adapts the classifier to an image; one without tiles has it as it is.

    Raises:
        InvalidInput: there are no tiles.
    """
    from wsss.data.tiles.tile_table import Tile, read_tiles
    from wsss.train.classification import tile_examples
    from wsss.train.sample_order import derive_seed
    from wsss.train.test_time_adaptation import adapted

    config, artifact = ctx.config.adapt, ctx.inputs["tiles"]
    if artifact is None or config is None:
        raise InvalidInput(
            "cam.adapt: no tiles to adapt the classifier by.",
            hint="Name the tiles stage among its needs (or --tiles DIR), or leave adapt out.",
        )
    tiles: dict[str, list[Tile]] = {}
    for tile in read_tiles(artifact.path, ctx.data.classes):
        tiles.setdefault(tile.image, []).append(tile)

    def of(sample: Sample) -> CAMClassifier:
        if sample.id not in tiles:
            return model
        examples = tile_examples(artifact.path, tiles[sample.id], model.head.out_channels, cache_bytes=1 << 30)
        seed = derive_seed("image", ctx.seed, sample.id)
        return adapted(model, examples, steps=config.steps, lr=config.lr, seed=seed)

    return of


def _make_maps(model: CAMClassifier, batch: Sequence[Sample], config: CamConfig, out: Path) -> None:
    import numpy as np

    from wsss.io.rasters.cams import Cams, write_cams
    from wsss.io.rasters.rgb_images import read_image
    from wsss.models.inference import require_finite
    from wsss.models.multiscale_cam import normalise, tapered

    images = np.stack([read_image(sample.image) for sample in batch])
    maps, classes = _maps_and_classes(model, images, batch, config)
    require_finite(maps, "class maps")
    for sample, of_image, indices in zip(batch, tapered(maps, config.taper), classes, strict=True):
        chosen = normalise(of_image[[index - 1 for index in indices]], config.normalise).cpu().numpy()
        size = (images.shape[1], images.shape[2])
        write_cams(cam_path(out, sample.id), Cams(chosen, indices, size))


def _maps_and_classes(
    model: CAMClassifier, images: NDArray[np.uint8], batch: Sequence[Sample], config: CamConfig
) -> tuple[Tensor, list[tuple[int, ...]]]:
    """Return maps ``(B, K, h, w)``, not normalised, and of each image the classes (indices ≥ 1) that get one."""
    import numpy as np
    import torch

    from wsss.models.attribution.maps import attribution_maps
    from wsss.models.multiscale_cam import class_maps

    classes = [sample.labels or () for sample in batch]
    views: dict[str, Any] = {key: getattr(config, key) for key in ("scales", "flip", "stride", "max_side")}
    method = config.method
    if isinstance(method, PlainCam) or config.classes == "predicted":
        raw = class_maps(model, images, activation=config.activation, **views)
        if config.classes == "predicted":
            found = raw.probabilities.cpu().numpy() > config.threshold
            classes = [tuple(int(k) + 1 for k in np.flatnonzero(row)) for row in found]
        if isinstance(method, PlainCam):
            return raw.maps, classes
    wanted = torch.zeros(len(batch), model.head.out_channels, dtype=torch.bool)
    for row, indices in zip(wanted, classes, strict=True):
        row[[index - 1 for index in indices]] = True
    return attribution_maps(model, images, wanted, method, **views), classes


def _read_back(samples: Sequence[Sample], out: Path) -> tuple[float | None, list[tuple[str, tuple[int, int]]]]:
    """Return the mean of all maps (how much of the images is seen as a class of theirs; ``None`` without any map), and
    the id and size of every image.
    """
    from wsss.io.rasters.cams import read_cams

    means: list[float] = []
    sizes: list[tuple[str, tuple[int, int]]] = []
    for sample in samples:
        cams = read_cams(cam_path(out, sample.id))
        means += [float(one.mean()) for one in cams.maps]
        sizes.append((sample.id, cams.size))
    return sum(means) / len(means) if means else None, sizes


def _reads(config: CamConfig) -> list[Read]:
    kinds: tuple[Kind, ...] = ("images", "labels") if config.classes == "labels" else ("images",)
    return [Read(split, kind) for split in config.splits for kind in kinds]


def _check_inputs(config: CamConfig, ids: Mapping[str, Sequence[str]]) -> None:
    if bool(config.adapt) != bool(ids.get("tiles")):
        raise InvalidInput(
            "cam: adapt and tiles belong together: the classifier is adapted to each image by its own tiles.",
            hint="Name the tiles stage among its needs and set adapt: {}, or do neither.",
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
        raise InvalidInput(error.message, hint="Use cam.classes: predicted, or add the labels.") from error


def _ready(ctx: Context[CamConfig]) -> None:
    trained(ctx)


STAGE = Stage(
    name="cam",
    version=1,
    config=CamConfig,
    run=run,
    provides="cams",
    resumes=True,
    inputs={
        "classifier": Input(("classifier",), "folder of a classify, expand or shrink stage"),
        "tiles": Input(("tiles",), "folder of a tiles stage to adapt to", optional=True),
    },
    reads=_reads,
    covers=lambda config: config.splits,
    check=_check,
    check_inputs=_check_inputs,
    ready=_ready,
)
