"""Masks aligned with class-agnostic segments: from another program, such as SAM, or superpixels."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from wsss.data.corrections.corrected_pixels import overridden
from wsss.data.truth import read_truth
from wsss.io.files.stage_files import mask_path
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import read_image
from wsss.io.rasters.segment_files import read_segment_numbers, read_segments, segments_path
from wsss.pipeline.stage import Context, Result, Stage, StageConfig
from wsss.refine.segments import SegmentVoteConfig, Superpixels, snap, snap_to_regions, superpixels
from wsss.stages.common.corrected_masks import (
    CorrectionsFolder,
    check_corrections,
    corrections_of,
    inspect_corrections,
)
from wsss.stages.common.footprint import image_bytes
from wsss.stages.common.input_masks.mask_inputs import count_empty, survey
from wsss.stages.common.inspect_inputs import inspect_masks
from wsss.stages.common.mask_stages import (
    MASKS,
    REFINES_MASKS,
    masked,
    read_changes,
    require_foreground,
    stated_refinement,
    write_masks,
)
from wsss.validation import refuse_unused

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
        if self.segments is not None:
            refuse_unused(self, "superpixels", "superpixel_size", requires="segments: null", got=self.segments)
        return self


def run(ctx: Context[SnapConfig]) -> Result:
    """Align the mask of every image."""
    config, classes = ctx.config, ctx.data.classes
    samples = masked(ctx, ctx.log)
    if ctx.inputs["masks"].uses is None and ctx.ranks.rank == 0:
        survey(ctx, samples)
    work = partial(_write, out=ctx.out, config=config, classes=classes, corrections=corrections_of(ctx))
    write_masks(ctx, samples, work, "segments", memory=partial(image_bytes, per_pixel=BYTES_PER_PIXEL))
    parts = read_changes(ctx, samples)
    source = config.superpixels if config.segments is None else "external segments"
    counted, stated = stated_refinement(ctx, samples)
    return Result(
        {
            "images": len(samples),
            "empty_masks": count_empty(ctx, samples, [part.shows_class for part in parts]),
            "changed_fraction": sum(part.changed for part in parts) / len(parts),
            "segments": source,
            **counted,
        },
        {"snap": {"segments": source, "min_share": config.min_share, "min_cover": config.min_cover}, **stated},
    )


def _write(sample: Sample, *, out: Path, config: SnapConfig, classes: Classes, corrections: Corrections | None) -> None:
    image = read_image(*sample.source)
    mask = read_truth(sample, classes, size=image.shape[:2])
    corrected = None if corrections is None else corrections.read(sample.id, (image.shape[0], image.shape[1]))
    snapped = overridden(_snapped(sample, image, overridden(mask, corrected), config), corrected)
    write_mask(mask_path(out, sample.id), classes.decode(snapped))


def _snapped(sample: Sample, image: NDArray[np.uint8], mask: NDArray[np.uint8], config: SnapConfig) -> Any:
    if config.segments is None:
        return snap_to_regions(mask, superpixels(image, config.superpixels, config.superpixel_size), config)
    path = segments_path(config.segments, sample.id)
    if path.suffix == ".png" and not path.is_dir():
        return snap_to_regions(mask, read_segment_numbers(path, mask.shape), config)
    return snap(mask, read_segments(path, mask.shape), config)


def _check(config: SnapConfig, data: Any) -> None:
    """Require segments of every image, and corrections of this dataset."""
    check_corrections(config.corrections, data)
    if config.segments is None or data is None:
        return
    for sample in data.samples(config.splits):
        segments_path(config.segments, sample.id)


def _ready(ctx: Context[SnapConfig]) -> None:
    require_foreground(ctx, masked(ctx), purpose="to align")
    inspect_corrections(ctx.config.corrections, ctx.data, ctx.config.splits)


STAGE = Stage(
    name="snap",
    version=2,
    config=SnapConfig,
    run=run,
    inputs={"masks": MASKS},
    check=_check,
    ready=_ready,
    inspect=lambda ctx: inspect_masks(ctx, masked(ctx)),
    **REFINES_MASKS,
)
