"""Boundary maps of all images, from the network of an `affinity` stage: the first part of `propagate`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.io.files.stage_files import boundary_path
from wsss.io.process.retained_memory import retained_memory
from wsss.io.rasters.boundaries import read_boundary, write_boundary
from wsss.pipeline.stage import Context
from wsss.stages.common.inference.batches import require_all, work_in_batches
from wsss.stages.common.refined_maps import WorkingGrid, read_reduced

if TYPE_CHECKING:
    from wsss.data.sample import Sample
    from wsss.models.affinity_networks.boundary import BoundaryNetwork


def write_boundaries(ctx: Context[Any]) -> WorkingGrid:
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


def _load(ctx: Context[Any]) -> BoundaryNetwork:
    from wsss.models.affinity_networks.boundary import load_boundary_network
    from wsss.train.runtime import leader_first

    folder = ctx.inputs["boundaries"].path
    network, _ = leader_first(ctx.ranks, lambda: load_boundary_network(folder))
    return network
