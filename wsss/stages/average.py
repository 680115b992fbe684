"""Average the maps of several classifiers, which reduces the variance between seeds."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from wsss.errors import InvalidInput
from wsss.io.files.stage_files import cam_path
from wsss.pipeline.stage import Context, Input, Read, Result, Stage, StageConfig
from wsss.stages.common.check_outputs import check_maps
from wsss.stages.common.inspect_inputs import inspect_maps
from wsss.stages.common.require_inputs import require_maps

if TYPE_CHECKING:
    from wsss.data.classes import Classes
    from wsss.data.sample import Sample


class AverageConfig(StageConfig):
    """Config of `average`."""

    splits: tuple[str, ...] = Field(default=("train",), min_length=1, description="splits whose maps are averaged")


def run(ctx: Context[AverageConfig]) -> Result:
    """Average the maps of every image."""
    from wsss.pipeline.run.items import map_items, pending

    samples = ctx.data.samples(ctx.config.splits)
    folders = [artifact.path for artifact in ctx.inputs["cams"]]
    if not folders:
        hint = "Add cam stages to its needs, or pass --cams DIR."
        raise InvalidInput("no maps to average", subject="average", hint=hint)
    check = partial(_check_finished, first=folders[0], out=ctx.out, classes=ctx.data.classes)
    todo = pending(ctx, samples, output=lambda sample: cam_path(ctx.out, sample.id), check=check)
    map_items(ctx, todo, partial(_average, folders=folders, out=ctx.out, classes=ctx.data.classes), "averaging")
    return Result({"images": len(samples), "maps": len(folders)}, {"averaged": len(folders)})


def _check_finished(sample: Sample, *, first: Path, out: Path, classes: Classes) -> None:
    from wsss.data.artifacts import read_maps

    source = read_maps(first, sample, classes)
    height, width = source.maps.shape[1:]
    check_maps(sample, out=out, classes=classes, of=source.classes, shape=(height, width))


def _average(sample: Sample, *, folders: list[Path], out: Path, classes: Classes) -> None:
    import numpy as np

    from wsss.data.artifacts import read_maps
    from wsss.io.rasters.cams import Cams, write_cams

    first, *others = (read_maps(folder, sample, classes) for folder in folders)
    for folder, cams in zip(folders[1:], others, strict=True):
        if (cams.classes, cams.size, cams.maps.shape) != (first.classes, first.size, first.maps.shape):
            raise InvalidInput(
                f"classes {cams.classes} and shape {cams.maps.shape} differ from {first.classes} and "
                f"{first.maps.shape} in {folders[0]}",
                subject=cam_path(folder, sample.id),
                hint="Compute all maps with the same classes and stride.",
            )
    mean = np.stack([first.maps, *(cams.maps for cams in others)]).mean(axis=0, dtype=np.float32)
    write_cams(cam_path(out, sample.id), Cams(np.asarray(mean), first.classes, first.size))


def _reads(config: AverageConfig) -> list[Read]:
    return [Read(split, "labels") for split in config.splits]


def _check(config: AverageConfig, data: Any) -> None:
    data.samples(config.splits)


def _ready(ctx: Context[AverageConfig]) -> None:
    samples = ctx.data.samples(ctx.config.splits)
    for artifact in ctx.inputs["cams"]:
        require_maps(artifact.path, samples)


def _inspect(ctx: Context[AverageConfig]) -> None:
    for artifact in ctx.inputs["cams"]:
        inspect_maps(ctx, ctx.data.samples(ctx.config.splits), artifact.path)


STAGE = Stage(
    name="average",
    version=1,
    config=AverageConfig,
    run=run,
    provides="cams",
    resumes=True,
    inputs={"cams": Input(("cams",), "folders of cam stages", many=True)},
    reads=_reads,
    covers=lambda config: config.splits,
    needs_splits=lambda config: config.splits,
    check=_check,
    ready=_ready,
    inspect=_inspect,
)
