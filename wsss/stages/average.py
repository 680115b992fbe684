"""Average the maps of several classifiers, which reduces the variance between seeds.

With predicted classes, the classifiers may recognise different ones in an image. The result has a map of each class
that at least one recognises; in the others, the class counts as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from wsss.errors import InvalidInput, counted, listing
from wsss.io.files.stage_files import cam_path
from wsss.pipeline.stage import Context, Input, Result, Stage, StageConfig, reads_of
from wsss.stages.common.check_outputs import check_maps
from wsss.stages.common.inspect_inputs import inspect_maps
from wsss.stages.common.require_inputs import require_maps

if TYPE_CHECKING:
    from wsss.data.classes import Classes
    from wsss.data.sample import Sample
    from wsss.io.rasters.cams import Cams


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
    differing: set[str] = set()  # also among the images that an interrupted run has finished
    check = partial(_check_finished, folders=folders, out=ctx.out, classes=ctx.data.classes, differing=differing)
    todo = pending(ctx, samples, output=lambda sample: cam_path(ctx.out, sample.id), check=check)
    completed = map_items(
        ctx, todo, partial(_average, folders=folders, out=ctx.out, classes=ctx.data.classes), "averaging"
    )
    differing.update(sample.id for sample, missing in zip(todo, completed, strict=True) if missing)
    _note_completed(ctx, differing)
    return Result({"images": len(samples), "maps": len(folders)}, {"averaged": len(folders)})


def _note_completed(ctx: Context[AverageConfig], ids: set[str]) -> None:
    """Log the images for which some folder has no map of a class that another has."""
    of_all = sorted(id for of_rank in ctx.ranks.gather(sorted(ids)) for id in of_rank)
    if of_all and ctx.ranks.rank == 0:
        ctx.log(
            f"note: {ctx.out.name}: the classifiers recognise different classes in {counted(len(of_all), 'image')}: "
            f"{listing(of_all)}. Where one does not recognise a class, its map counts as 0."
        )


def _check_finished(sample: Sample, *, folders: list[Path], out: Path, classes: Classes, differing: set[str]) -> None:
    """Validate the finished maps of an image; add it to ``differing`` if its folders have maps of different classes."""
    from wsss.data.artifacts import read_maps

    sources = [read_maps(folder, sample, classes) for folder in folders]
    height, width = sources[0].maps.shape[1:]
    union = _all_classes(sources)
    check_maps(sample, out=out, classes=classes, of=union, shape=(height, width))
    if _lacks_maps(sources, union):
        differing.add(sample.id)


def _average(sample: Sample, *, folders: list[Path], out: Path, classes: Classes) -> bool:
    """Write the mean maps of an image; return whether a folder lacks the map of a class that another has."""
    import numpy as np

    from wsss.data.artifacts import read_maps
    from wsss.io.rasters.cams import Cams, write_cams

    several = [read_maps(folder, sample, classes) for folder in folders]
    shape = several[0].maps.shape[1:]
    for folder, cams in zip(folders, several, strict=True):
        if cams.maps.shape[1:] != shape:
            raise InvalidInput(
                f"maps of shape {cams.maps.shape[1:]} differ from {shape} in {folders[0]}",
                subject=cam_path(folder, sample.id),
                hint="Compute all maps with the same stride.",
            )
    union = _all_classes(several)
    stack = np.zeros((len(several), len(union), *shape), np.float32)
    for complete, cams in zip(stack, several, strict=True):
        complete[[union.index(index) for index in cams.classes]] = cams.maps
    mean = stack.mean(axis=0, dtype=np.float32)
    write_cams(cam_path(out, sample.id), Cams(np.asarray(mean), union, several[0].size))
    return _lacks_maps(several, union)


def _lacks_maps(several: Sequence[Cams], union: Sequence[int]) -> bool:
    """Return whether a folder lacks the map of a class that another has."""
    return any(cams.classes != union for cams in several)


def _all_classes(several: Sequence[Cams]) -> tuple[int, ...]:
    """Return the classes of which at least one of the folders has a map."""
    return tuple(sorted({index for cams in several for index in cams.classes}))


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
    inputs={"cams": Input(("cams",), "folders of cam stages, or of other stages that write maps", many=True)},
    reads=lambda config: reads_of(config.splits, "labels"),
    covers=lambda config: config.splits,
    needs_splits=lambda config: config.splits,
    check=_check,
    ready=_ready,
    inspect=_inspect,
)
