"""Masks aligned with class-agnostic segments: from another program, such as SAM, or superpixels."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from wsss.data.classes import renumber
from wsss.errors import listing
from wsss.io.files.stage_files import mask_path
from wsss.pipeline.stage import Context, Input, Read, Result, Stage, StageConfig
from wsss.refine.segments import SegmentVoteConfig, Superpixels
from wsss.stages.common.check_outputs import check_mask
from wsss.stages.common.corrected_masks import (
    CorrectionsFolder,
    check_corrections,
    corrections_of,
    images_of,
    inspect_corrections,
    stated_corrections,
    stated_network,
)
from wsss.stages.common.footprint import image_bytes
from wsss.stages.common.input_masks.mask_inputs import (
    ANY_FOLDER,
    count_empty,
    require_class,
    supervision_of,
    survey,
    with_masks,
)
from wsss.stages.common.inspect_inputs import inspect_masks
from wsss.stages.common.require_inputs import MAKE_MASKS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsss.data.classes import Classes
    from wsss.data.corrections.correction_folder import Corrections
    from wsss.data.sample import Sample

BYTES_PER_PIXEL = 120
"""Memory of the superpixels of an image, with their colours in CIELAB."""


class SnapConfig(SegmentVoteConfig, StageConfig):
    """Config of `snap`."""

    splits: tuple[str, ...] = Field(default=("train",), min_length=1, description="splits whose masks are aligned")
    segments: Path | None = Field(
        default=None,
        description="folder of segments: ID.json of SAM's automatic mask generator, ID.png with segment numbers, or "
        "ID/*.png with one mask each; null: superpixels",
    )
    superpixels: Superpixels = Field(
        default="felzenszwalb",
        description="superpixels to use without segments: felzenszwalb (along strong edges), or slic (of about equal "
        "size)",
    )
    superpixel_size: int = Field(
        default=400, ge=16, description="pixels per superpixel: the mean for slic, the minimum for felzenszwalb"
    )
    corrections: CorrectionsFolder = None

    @model_validator(mode="after")
    def _superpixels_without_segments(self) -> SnapConfig:
        if self.segments is not None and self.model_fields_set & {"superpixels", "superpixel_size"}:
            raise ValueError("segments and superpixels are mutually exclusive; expected one of the two settings")
        return self


def run(ctx: Context[SnapConfig]) -> Result:
    """Align the mask of every image."""
    from wsss.pipeline.run.items import map_items, map_shared, pending

    config, classes = ctx.config, ctx.data.classes
    samples = _masked(ctx, log=True)
    if ctx.inputs["masks"].uses is None and ctx.ranks.rank == 0:
        survey(ctx, samples)
    check = partial(check_mask, out=ctx.out, classes=classes)
    todo = pending(ctx, samples, output=lambda sample: mask_path(ctx.out, sample.id), check=check)
    memory = partial(image_bytes, per_pixel=BYTES_PER_PIXEL)
    map_items(
        ctx,
        todo,
        partial(_write, out=ctx.out, config=config, classes=classes, corrections=corrections_of(ctx)),
        "segments",
        memory=memory,
    )
    parts = map_shared(ctx, samples, partial(_compare, out=ctx.out), "reading back")
    source = config.superpixels if config.segments is None else "external segments"
    masks = ctx.inputs["masks"]
    stating = (images_of(config.splits), supervision_of(masks), stated_network(masks))
    counted, stated = stated_corrections(ctx, samples, *stating)
    return Result(
        {
            "images": len(samples),
            "empty_masks": count_empty(ctx, samples, [shows for _, shows in parts]),
            "changed_fraction": sum(changed for changed, _ in parts) / len(parts),
            "segments": source,
            **counted,
        },
        {"snap": {"segments": source, "min_share": config.min_share, "min_cover": config.min_cover}, **stated},
    )


def _write(sample: Sample, *, out: Path, config: SnapConfig, classes: Classes, corrections: Corrections | None) -> None:
    from wsss.data.corrections.corrected_pixels import overridden
    from wsss.data.truth import read_truth
    from wsss.io.rasters.label_masks import write_mask
    from wsss.io.rasters.rgb_images import read_image

    image = read_image(*sample.source)
    mask = read_truth(sample, classes, size=image.shape[:2])
    corrected = None if corrections is None else corrections.read(sample.id, (image.shape[0], image.shape[1]))
    snapped = overridden(_snapped(sample, image, overridden(mask, corrected), config), corrected)
    write_mask(mask_path(out, sample.id), classes.decode(snapped))


def _snapped(sample: Sample, image: NDArray[np.uint8], mask: NDArray[np.uint8], config: SnapConfig) -> Any:
    from wsss.io.rasters.segment_files import read_segment_numbers, read_segments, segments_path
    from wsss.refine.segments import snap, snap_to_regions, superpixels

    if config.segments is None:
        return snap_to_regions(mask, superpixels(image, config.superpixels, config.superpixel_size), config)
    path = segments_path(config.segments, sample.id)
    if path.suffix == ".png" and not path.is_dir():
        return snap_to_regions(mask, read_segment_numbers(path, mask.shape), config)
    return snap(mask, read_segments(path, mask.shape), config)


def _compare(sample: Sample, *, out: Path) -> tuple[float, bool]:
    """Return the fraction of changed pixels of a mask, and whether it shows a class."""
    from wsss.data.truth import shows_class
    from wsss.io.rasters.label_masks import read_mask

    new = read_mask(mask_path(out, sample.id))
    assert sample.mask is not None
    old = read_mask(sample.mask, size=new.shape)
    return float((new != old).mean()), shows_class(new)


def _masked(ctx: Context[SnapConfig], *, log: bool = False) -> tuple[Sample, ...]:
    """Return the samples with the masks to align; with ``log``, guessed file names are noted."""
    samples, of = ctx.data.samples(ctx.config.splits), f"splits {listing(ctx.config.splits)}"
    note = ctx.log if log else lambda line: None
    return with_masks(ctx.inputs["masks"].path, samples, ctx.data, of=of, hint=MAKE_MASKS, log=note)


def _reads(config: SnapConfig) -> list[Read]:
    return [Read(split, "images") for split in config.splits]


def _check(config: SnapConfig, data: Any) -> None:
    """Require segments of every image, and corrections of this dataset."""
    from wsss.io.rasters.segment_files import segments_path

    check_corrections(config.corrections, data)
    if config.segments is None or data is None:
        return
    for sample in data.samples(config.splits):
        segments_path(config.segments, sample.id)


def _ready(ctx: Context[SnapConfig]) -> None:
    classes, samples, config = ctx.data.classes, _masked(ctx), ctx.config
    hint = f"If 255 means a class, {renumber(classes)}."
    require_class(ctx.inputs["masks"], samples, classes, purpose="to align", hint=hint)
    inspect_corrections(config.corrections, ctx.data, config.splits)


STAGE = Stage(
    name="snap",
    version=1,
    config=SnapConfig,
    run=run,
    provides="masks",
    resumes=True,
    inputs={"masks": Input(("masks",), f"folder of a pseudo, crf or predict stage, or {ANY_FOLDER}")},
    reads=_reads,
    covers=lambda config: config.splits,
    needs_splits=lambda config: config.splits,
    check=_check,
    prepare=lambda config, data: inspect_corrections(config.corrections, data, config.splits),
    ready=_ready,
    inspect=lambda ctx: inspect_masks(ctx, _masked(ctx)),
    supervised=lambda values, upstream: "predict" not in upstream,  # scores of networks would measure the corrections
)
