"""Random walk of class activation maps on learned or fixed affinities (IRN: Ahn, Cho & Kwak, CVPR 2019)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.data.image_transforms.resizing import resize
from wsss.errors import InvalidInput
from wsss.io.files.stage_files import boundary_path
from wsss.io.process.retained_memory import retained_memory
from wsss.io.rasters.boundaries import read_boundary
from wsss.models.config import check_weights
from wsss.pipeline.stage import Context, Input, Result, Stage
from wsss.refine.fixed_affinities import vector_affinities
from wsss.refine.pixel_pairs import steps
from wsss.refine.random_walk import Affinities, affinities_along_paths, clip_peaks, transition_matrix, walk
from wsss.stages.common.footprint import image_bytes
from wsss.stages.common.refined_maps import (
    MAPS,
    REFINES,
    WorkingGrid,
    inspect_refined,
    read_reduced,
    ready_maps,
    reduced_in,
    refine_maps,
)
from wsss.stages.common.training.classifier_training import inspect_backbone, prepare_backbone
from wsss.stages.common.walking.boundary_maps import write_boundaries
from wsss.stages.common.walking.network_walk import (
    attention_walk,
    check_network,
    check_network_inputs,
    feature_affinities,
    network_of,
)
from wsss.stages.common.walking.walk_config import PAIR_SETTINGS, PropagateConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.data.dataset import Dataset
    from wsss.data.sample import Sample
    from wsss.io.rasters.cams import Cams

STRIDE = 4
"""Image pixels per element of the grid of a fixed affinity."""

RECORDED = {
    "learned": PAIR_SETTINGS,
    "colour": (*PAIR_SETTINGS, "colour_sigma"),
    "features": (*PAIR_SETTINGS, "feature_levels"),
    "attention": ("attention_blocks",),
}
"""Affinity → its settings that the provenance records."""


def run(ctx: Context[PropagateConfig]) -> Result:
    """Propagate the maps of every image; with learned affinities, compute its boundaries first."""
    config = ctx.config
    metrics, network = _walk_on_network(ctx) if config.uses_network else (_walk_on_pairs(ctx), {})
    settings = config.model_dump(include={"affinity", "beta", "steps", "clip_quantile", *RECORDED[config.affinity]})
    return Result(metrics, {"propagate": settings | network | reduced_in(metrics)} | _supervision(ctx))


def _walk_on_pairs(ctx: Context[PropagateConfig]) -> dict[str, Any]:
    """Walk on learned or colour affinities, in worker processes; return metrics."""
    config = ctx.config
    grid = write_boundaries(ctx) if config.affinity == "learned" else WorkingGrid(STRIDE, config.max_side)
    affinities = {"learned": _learned, "colour": _colour}[config.affinity]
    refine = partial(_propagate, affinities=partial(affinities, out=ctx.out, config=config), config=config)
    return refine_maps(ctx, refine, grid, "random walk", partial(_bytes, grid=grid, radius=config.radius))


def _walk_on_network(ctx: Context[PropagateConfig]) -> tuple[dict[str, Any], dict[str, str]]:
    """Walk on affinities of a network, which one process computes; return metrics, and the network's provenance."""
    from wsss.train.runtime import deterministic

    config, grid = ctx.config, WorkingGrid(STRIDE, ctx.config.max_side)
    with deterministic(ctx.device, ctx.seed), retained_memory():
        network = network_of(ctx)
        affinities = partial(feature_affinities, network=network, config=config)
        attention = partial(attention_walk, network=network, config=config)
        refine = {
            "features": partial(_propagate, affinities=affinities, config=config),
            "attention": partial(_propagate_on_patches, walk=attention, config=config),
        }[config.affinity]
        memory = partial(_bytes, grid=grid, radius=config.radius)
        metrics = refine_maps(ctx, refine, grid, "random walk", memory, one_process=True)
    return metrics, {"network": network.name, "network_weights": network.origin.label}


def _supervision(ctx: Context[PropagateConfig]) -> dict[str, str]:
    """Return the supervision of the maps and of the boundaries or the classifier, if they differ."""
    maps = ctx.inputs["cams"].provenance.get("supervision")
    others = {name: ctx.inputs[name].provenance.get("supervision") for name in NETWORKS if ctx.inputs[name]}
    differing = [f"; {name}: {other}" for name, other in others.items() if other not in (None, maps)]
    return {"supervision": f"{maps or 'maps of unstated origin'}{''.join(differing)}"} if differing else {}


def _propagate(
    sample: Sample,
    cams: Cams,
    size: tuple[int, int],
    *,
    affinities: Callable[[Sample, tuple[int, int]], Affinities],
    config: PropagateConfig,
) -> NDArray[np.float32]:
    seeds = maps = cams.at(size)
    if not len(maps):
        return maps
    computed = affinities(sample, size)
    transition = transition_matrix(computed.pairs, size, radius=config.radius, beta=config.beta)
    if config.boundary_factor:
        maps = maps * (1 - computed.boundary)
    return clip_peaks(walk(maps, transition, config.steps), seeds, config.clip_quantile)


def _propagate_on_patches(
    sample: Sample,
    cams: Cams,
    size: tuple[int, int],
    *,
    walk: Callable[[Sample, NDArray[np.float32]], NDArray[np.float32]],
    config: PropagateConfig,
) -> NDArray[np.float32]:
    seeds = cams.at(size)
    return clip_peaks(walk(sample, seeds), seeds, config.clip_quantile) if len(seeds) else seeds


def _learned(sample: Sample, size: tuple[int, int], *, out: Path, config: PropagateConfig) -> Affinities:
    boundary = read_boundary(boundary_path(out, sample.id), size=size)
    return Affinities(affinities_along_paths(boundary, config.radius), boundary)


def _colour(sample: Sample, size: tuple[int, int], *, out: Path, config: PropagateConfig) -> Affinities:
    image = resize(read_reduced(sample, config.max_side), size).astype(np.float32)
    return vector_affinities(image, config.radius, config.colour_sigma)


def _bytes(sample: Sample, *, grid: WorkingGrid, radius: int) -> int:
    """Return the estimated memory for an image: its pixels, and the sparse matrix while it is built."""
    height, width = grid.of_file(sample)
    return image_bytes(sample, per_pixel=10) + 60 * (2 * len(steps(radius)) + 1) * height * width


NETWORKS = {
    "boundaries": Input(
        ("affinity",), "folder of an affinity stage, required by affinity: learned", optional=True, nested=True
    ),
    "classifier": Input(
        ("classifier",),
        "folder of a classify, expand or shrink stage, for affinity: features or attention; not needed with a backbone",
        optional=True,
        nested=True,
        in_identity_if_set=True,
    ),
}
"""Inputs besides the maps."""


def _check_inputs(config: PropagateConfig, ids: Mapping[str, Sequence[str]]) -> None:
    if (config.affinity == "learned") != bool(ids.get("boundaries")):
        raise InvalidInput(
            "affinity: learned requires an affinity stage, and other affinities take none",
            subject="propagate",
            hint="Add an affinity stage to its needs (or pass --boundaries DIR), or set another affinity and omit it.",
        )
    check_network_inputs(config, ids)


def _check(config: PropagateConfig, data: Dataset) -> None:
    check_weights(config.backbone)
    data.samples(config.splits)


def _prepare(config: PropagateConfig, data: Dataset) -> None:
    prepare_backbone(config, data)
    if config.uses_network:
        check_network(config)


def _ready(ctx: Context[PropagateConfig]) -> None:
    from wsss.models.affinity_networks.boundary import load_boundary_network
    from wsss.models.classifier import load_classifier

    networks = {name: ctx.inputs[name] for name in NETWORKS}
    _check_inputs(ctx.config, {name: () if artifact is None else (name,) for name, artifact in networks.items()})
    if networks["boundaries"] is not None:
        load_boundary_network(networks["boundaries"].path)
    if networks["classifier"] is not None:
        classifier, _ = load_classifier(networks["classifier"].path)
        check_network(ctx.config, classifier.backbone)
    ready_maps(ctx)


def _inspect(ctx: Context[PropagateConfig]) -> None:
    inspect_backbone(ctx)
    inspect_refined(ctx)


STAGE = Stage(
    name="propagate",
    version=1,
    config=PropagateConfig,
    run=run,
    inputs={"cams": MAPS, **NETWORKS},
    check_inputs=_check_inputs,
    prepare=_prepare,
    ready=_ready,
    **REFINES | {"check": _check, "inspect": _inspect},
)
