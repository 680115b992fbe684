"""Masks aligned with class-agnostic segments: from another program, such as SAM, or superpixels."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from wsss.data.corrections.corrected_pixels import overridden
from wsss.data.sample_mask import read_sample_mask
from wsss.io.files.stage_files import mask_path
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import read_image
from wsss.io.rasters.segment_files import read_segment_numbers, read_segments, segments_path
from wsss.pipeline.stage import Context, Kind, Read, Result, Stage, StageConfig, reads_of
from wsss.refine.segments import (
    SegmentVoteConfig,
    Superpixels,
    segment_numbers,
    snap,
    snap_to_regions,
    superpixels,
    with_true_classes,
)
from wsss.stages.common.corrected_masks import CorrectionsFolder, check_corrections, inspect_corrections
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
from wsss.stages.common.require_inputs import require_truth
from wsss.validation import InIdentityIfSet, refuse_unused

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsss.data.classes import Classes
    from wsss.data.corrections.correction_folder import Corrections
    from wsss.data.sample import Sample

BYTES_PER_PIXEL = 120
"""Memory of the superpixels of an image, with their colours in CIELAB."""

ORACLE = "ORACLE: most frequent class of the ground truth in each segment"
"""How segments get their classes with ``oracle``, for metrics and provenance."""


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
    oracle: Annotated[bool, InIdentityIfSet()] = Field(
        default=False,
        description="assign every segment its most frequent class in the ground-truth masks, to measure how accurate "
        "masks of these segments can be; all scores derived from it are marked ORACLE",
    )

    @model_validator(mode="after")
    def _vote_without_oracle(self) -> SnapConfig:
        if self.oracle:
            refuse_unused(self, "min_share", "min_cover", requires="oracle: false", got="true")
        return self

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
    truths = {sample.id: sample for sample in ctx.data.samples(config.splits)} if config.oracle else None
    work = partial(_write, out=ctx.out, config=config, classes=classes, truths=truths)
    memory = partial(image_bytes, per_pixel=BYTES_PER_PIXEL)
    # Each task of a process would contain the samples of all true masks; threads share them.
    write_masks(ctx, samples, work, "segments", memory=memory, threads=config.oracle)
    parts = read_changes(ctx, samples)
    source = config.superpixels if config.segments is None else "external segments"
    counted, stated = stated_refinement(ctx, samples)
    earlier = ctx.inputs["masks"].provenance.get("snap")  # an oracle in it still marks the scores
    before = {"before": earlier} if earlier else {}
    vote = {"classes": ORACLE} if config.oracle else {"min_share": config.min_share, "min_cover": config.min_cover}
    return Result(
        {
            "images": len(samples),
            "empty_masks": count_empty(ctx, samples, [part.shows_class for part in parts]),
            "changed_fraction": sum(part.changed for part in parts) / len(parts),
            "segments": source,
            **({"classes": ORACLE} if config.oracle else {}),
            **counted,
        },
        {"snap": {"segments": source, **vote, **before}, **stated},
    )


def _write(
    sample: Sample,
    *,
    out: Path,
    config: SnapConfig,
    classes: Classes,
    corrections: Corrections | None,
    truths: Mapping[str, Sample] | None,
) -> None:
    image = read_image(*sample.source)
    mask = read_sample_mask(sample, classes, size=image.shape[:2])
    corrected = None if corrections is None else corrections.read(sample.id, (image.shape[0], image.shape[1]))
    truth = None if truths is None else read_sample_mask(truths[sample.id], classes, size=image.shape[:2])
    snapped = overridden(_snapped(sample, image, overridden(mask, corrected), config, truth), corrected)
    write_mask(mask_path(out, sample.id), classes.decode(snapped))


def _snapped(
    sample: Sample,
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    config: SnapConfig,
    truth: NDArray[np.uint8] | None,
) -> NDArray[np.uint8]:
    numbers = _numbers(sample, image, config)
    if numbers is not None:
        return snap_to_regions(mask, numbers, config) if truth is None else with_true_classes(mask, numbers, truth)
    assert config.segments is not None, "superpixels have numbers"
    segments = read_segments(segments_path(config.segments, sample.id), mask.shape)
    if truth is None:
        return snap(mask, segments, config)
    return with_true_classes(mask, segment_numbers(segments, mask.shape), truth)


def _numbers(sample: Sample, image: NDArray[np.uint8], config: SnapConfig) -> NDArray[np.integer[Any]] | None:
    """Return the segment numbers of an image; ``None`` if each segment is a mask of its own, which may overlap."""
    if config.segments is None:
        return superpixels(image, config.superpixels, config.superpixel_size)
    path = segments_path(config.segments, sample.id)
    if path.suffix == ".png" and not path.is_dir():
        return read_segment_numbers(path, (image.shape[0], image.shape[1]))
    return None


def _reads(config: SnapConfig) -> list[Read]:
    kinds: tuple[Kind, ...] = ("images", "masks") if config.oracle else ("images",)
    return reads_of(config.splits, *kinds)


def _check(config: SnapConfig, data: Any) -> None:
    """Require segments of every image, ground-truth masks for the oracle, and corrections of this dataset."""
    check_corrections(config.corrections, data)
    if data is None:
        return
    if config.oracle:
        require_truth(data, config.splits, where="snap.oracle", hint="Omit --oracle: the vote needs no masks.")
    if config.segments is None:
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
    **REFINES_MASKS | {"reads": _reads},
)
