"""Pixel-adaptive refinement of maps (Araslanov & Roth, CVPR 2020; PAR of Ru et al., CVPR 2022)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from wsss.io.rasters.working_size import MaxSide
from wsss.pipeline.stage import Context, Result, Stage, StageConfig
from wsss.refine.pixel_adaptive import PixelAdaptiveConfig
from wsss.stages.common.refined_maps import (
    MAPS,
    REFINES,
    WorkingGrid,
    read_reduced,
    ready_maps,
    reduced_in,
    refine_maps,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsss.data.sample import Sample
    from wsss.io.rasters.cams import Cams


class ParConfig(PixelAdaptiveConfig, StageConfig):
    """Config of `par`."""

    splits: tuple[str, ...] = Field(default=("train",), min_length=1, description="splits whose maps are refined")
    stride: int = Field(default=2, ge=1, le=32, description="image pixels per map element")
    max_side: MaxSide = 1024


def run(ctx: Context[ParConfig]) -> Result:
    """Refine the maps of every image."""
    config = ctx.config
    grid = WorkingGrid(config.stride, config.max_side)
    metrics = refine_maps(
        ctx,
        partial(_refine, config=config),
        grid,
        "pixel-adaptive refinement",
        partial(_bytes, grid=grid, config=config),
    )
    settings = config.model_dump(include={*PixelAdaptiveConfig.model_fields, "stride"})
    return Result(metrics, {"par": settings | reduced_in(metrics)})


def _refine(sample: Sample, cams: Cams, size: tuple[int, int], *, config: ParConfig) -> NDArray[np.float32]:
    import numpy as np

    from wsss.data.image_transforms.resizing import resize
    from wsss.refine.pixel_adaptive import refine

    image = resize(read_reduced(sample, config.max_side), size)
    return refine(cams.at(size), image.astype(np.float32), config)


def _bytes(sample: Sample, *, grid: WorkingGrid, config: ParConfig) -> int:
    """Return the estimated memory for an image: its pixels, and arrays of all neighbours."""
    from wsss.stages.common.footprint import image_bytes

    height, width = grid.of_file(sample)
    return image_bytes(sample, per_pixel=10) + 8 * len(config.dilations) * 16 * height * width


STAGE = Stage(name="par", version=1, config=ParConfig, run=run, inputs={"cams": MAPS}, ready=ready_maps, **REFINES)
