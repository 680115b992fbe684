"""Random walk of class activation maps on learned or fixed affinities (IRN: Ahn, Cho & Kwak, CVPR 2019)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from wsss.data.image_transforms.resizing import resize
from wsss.errors import InvalidInput
from wsss.io.files.stage_files import boundary_path
from wsss.io.process.retained_memory import retained_memory
from wsss.io.rasters.boundaries import read_boundary, write_boundary
from wsss.pipeline.stage import Context, Input, Result, Stage, StageConfig
from wsss.refine.fixed_affinities import vector_affinities
from wsss.refine.pixel_pairs import steps
from wsss.refine.random_walk import Affinities, affinities_along_paths, clip_peaks, transition_matrix, walk
from wsss.stages.common.footprint import image_bytes
from wsss.stages.common.inference.batches import require_all, work_in_batches
from wsss.stages.common.refined_maps import (
    MAPS,
    REFINES,
    WorkingGrid,
    read_reduced,
    ready_maps,
    reduced_in,
    refine_maps,
)
from wsss.validation import OptionName, refuse_unused

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.data.sample import Sample
    from wsss.io.rasters.cams import Cams
    from wsss.models.boundary import BoundaryNetwork

STRIDE = 4
"""Image pixels per element of the grid of a fixed affinity."""


class PropagateConfig(StageConfig):
    """Config of `propagate`."""

    splits: tuple[str, ...] = Field(default=("train",), min_length=1, description="splits whose maps are propagated")
    affinity: Literal["learned", "colour"] = Field(
        default="learned",
        description="affinities: learned (from an affinity stage), or colour (similarity of colours, as a control)",
    )
    beta: float = Field(
        default=10.0, gt=0, description="exponent β on the affinities; larger values stop the walk at weaker boundaries"
    )
    steps: Annotated[int, OptionName("walk-steps")] = Field(
        default=256, ge=1, le=1 << 16, description="steps of the random walk"
    )
    radius: int = Field(default=5, ge=2, le=16, description="map elements closer than this form a pair")
    boundary_factor: bool = Field(
        default=True,
        description="multiply the maps by 1 − boundary before the walk, so that scores at boundaries do not spread",
    )
    clip_quantile: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="clip each propagated map at this quantile of its values where the input map is at least 0.3 times "
        "its maximum, so that a small region with a boundary around it does not determine the scale; 1: no clipping",
    )
    colour_sigma: float = Field(
        default=30.0, gt=0, description="standard deviation of the colour affinity, in grey levels (0 … 255)"
    )
    max_side: int | None = Field(
        default=1024, ge=16, description="maximum side length in pixels; larger images are downscaled; null: no limit"
    )

    @model_validator(mode="after")
    def _sigma_of_colours(self) -> PropagateConfig:
        if self.affinity != "colour":
            refuse_unused(self, "colour_sigma", requires="affinity: colour", got=self.affinity)
        return self


def run(ctx: Context[PropagateConfig]) -> Result:
    """Compute the boundaries of every image, if learned, then propagate its maps."""
    config, grid = ctx.config, WorkingGrid(STRIDE, ctx.config.max_side)
    if config.affinity == "learned":
        grid = _write_boundaries(ctx)
    memory = partial(_bytes, grid=grid, radius=config.radius)
    metrics = refine_maps(ctx, partial(_propagate, out=ctx.out, config=config), grid, "random walk", memory)
    settings = config.model_dump(include={"affinity", "beta", "steps", "radius", "boundary_factor", "clip_quantile"})
    if config.affinity == "colour":
        settings["colour_sigma"] = config.colour_sigma
    return Result(metrics, {"propagate": settings | reduced_in(metrics)} | _supervision(ctx))


def _supervision(ctx: Context[PropagateConfig]) -> dict[str, str]:
    """Return the supervision of maps and boundaries, if they differ."""
    maps, boundaries = ctx.inputs["cams"].provenance.get("supervision"), ctx.inputs["boundaries"]
    of_boundaries = boundaries and boundaries.provenance.get("supervision")
    if of_boundaries in (None, maps):
        return {}
    return {"supervision": f"{maps or 'maps of unstated origin'}; boundaries: {of_boundaries}"}


def _write_boundaries(ctx: Context[PropagateConfig]) -> WorkingGrid:
    """Write the boundary maps of all images; return their grid."""
    import torch

    from wsss.models.weights.folding import fold_for_inference
    from wsss.train.runtime import deterministic, torch_device

    samples, network = ctx.data.samples(ctx.config.splits), _load(ctx)
    network.to(torch_device(ctx.device)).to(memory_format=torch.channels_last)
    fold_for_inference(network)
    grid = WorkingGrid(network.config.stride, ctx.config.max_side)
    with deterministic(ctx.device, ctx.seed), retained_memory():
        failed = work_in_batches(
            ctx,
            samples,
            lambda batch: _write_boundary(network, batch[0], ctx.config.max_side, ctx.out),
            batch_size=1,
            outputs=lambda sample: [boundary_path(ctx.out, sample.id)],
            check=partial(_check_boundary, out=ctx.out, grid=grid),
            description="boundaries",
        )
    require_all(ctx, failed, samples)
    return grid


def _write_boundary(network: BoundaryNetwork, sample: Sample, max_side: int | None, out: Path) -> None:
    import torch

    from wsss.models.segmentation_networks.inference import require_finite

    device = network.head.join.weight.device
    boundary = network.boundaries(torch.from_numpy(read_reduced(sample, max_side)).permute(2, 0, 1).to(device))
    require_finite(boundary, "boundaries")
    write_boundary(boundary_path(out, sample.id), boundary.cpu().numpy())


def _check_boundary(sample: Sample, *, out: Path, grid: WorkingGrid) -> None:
    read_boundary(boundary_path(out, sample.id), size=grid.of_file(sample))


def _propagate(
    sample: Sample, cams: Cams, size: tuple[int, int], *, out: Path, config: PropagateConfig
) -> NDArray[np.float32]:
    seeds = maps = cams.at(size)
    if not len(maps):
        return maps
    affinities = AFFINITIES[config.affinity](sample, size, out, config)
    transition = transition_matrix(affinities.pairs, size, radius=config.radius, beta=config.beta)
    if config.boundary_factor:
        maps = maps * (1 - affinities.boundary)
    return clip_peaks(walk(maps, transition, config.steps), seeds, config.clip_quantile)


def _learned(sample: Sample, size: tuple[int, int], out: Path, config: PropagateConfig) -> Affinities:
    boundary = read_boundary(boundary_path(out, sample.id), size=size)
    return Affinities(affinities_along_paths(boundary, config.radius), boundary)


def _colour(sample: Sample, size: tuple[int, int], out: Path, config: PropagateConfig) -> Affinities:
    image = resize(read_reduced(sample, config.max_side), size).astype(np.float32)
    return vector_affinities(image, config.radius, config.colour_sigma)


AFFINITIES: Mapping[str, Callable[[Any, tuple[int, int], Path, PropagateConfig], Affinities]] = {
    "learned": _learned,
    "colour": _colour,
}
"""Name → image, size of the grid, folder of the stage, config → affinities."""


def _bytes(sample: Sample, *, grid: WorkingGrid, radius: int) -> int:
    """Return the estimated memory for an image: its pixels, and the sparse matrix while it is built."""
    height, width = grid.of_file(sample)
    return image_bytes(sample, per_pixel=10) + 60 * (2 * len(steps(radius)) + 1) * height * width


def _load(ctx: Context[PropagateConfig]) -> BoundaryNetwork:
    from wsss.models.boundary import load_boundary_network
    from wsss.train.runtime import leader_first

    folder = ctx.inputs["boundaries"].path
    network, _ = leader_first(ctx.ranks, lambda: load_boundary_network(folder))
    return network


def _check_inputs(config: PropagateConfig, ids: Mapping[str, Sequence[str]]) -> None:
    if (config.affinity == "learned") != bool(ids.get("boundaries")):
        raise InvalidInput(
            "affinity: learned requires an affinity stage, and affinity: colour takes none",
            subject="propagate",
            hint="Add an affinity stage to its needs (or pass --boundaries DIR), or set affinity: colour and omit it.",
        )


def _ready(ctx: Context[PropagateConfig]) -> None:
    from wsss.models.boundary import load_boundary_network

    artifact = ctx.inputs["boundaries"]
    _check_inputs(ctx.config, {"boundaries": () if artifact is None else (artifact.path.name,)})
    if artifact is not None:
        load_boundary_network(artifact.path)
    ready_maps(ctx)


STAGE = Stage(
    name="propagate",
    version=1,
    config=PropagateConfig,
    run=run,
    inputs={
        "cams": MAPS,
        "boundaries": Input(
            ("affinity",), "folder of an affinity stage, for affinity: learned", optional=True, nested=True
        ),
    },
    check_inputs=_check_inputs,
    ready=_ready,
    **REFINES,
)
