"""Maps computed from the maps of an earlier stage, image by image: shared by `propagate` and `par`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.data.artifacts import read_maps
from wsss.data.image_transforms.resizing import reduced
from wsss.errors import InvalidInput
from wsss.io.files.stage_files import cam_path
from wsss.io.rasters.cams import Cams, write_cams
from wsss.io.rasters.rgb_images import image_size, read_image
from wsss.io.rasters.working_size import working_size
from wsss.pipeline.run.items import map_items, pending
from wsss.pipeline.stage import Context, Input, reads_of
from wsss.stages.common.check_outputs import check_maps
from wsss.stages.common.image_size_notes import note_reduced
from wsss.stages.common.inspect_inputs import inspect_maps
from wsss.stages.common.require_inputs import require_maps
from wsss.stages.common.written_maps import read_back

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.data.classes import Classes
    from wsss.data.sample import Sample

    Floats = NDArray[np.float32]

MAPS = Input(("cams",), "folder of a cam stage, or of another stage that writes maps")


@dataclass(frozen=True)
class WorkingGrid:
    """The grid on which maps are refined.

    Args:
        stride: pixels per element.
        max_side: longer side to which larger images are downscaled first; ``None``: no limit.
    """

    stride: int
    max_side: int | None

    def cells(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return height and width of the grid of an image of this height and width."""
        height, width = working_size(size, self.max_side)
        return math.ceil(height / self.stride), math.ceil(width / self.stride)

    def of_file(self, sample: Sample) -> tuple[int, int]:
        """Return height and width of the grid of an image, read from its header; 1 and 1 if it cannot be read."""
        try:
            return self.cells(image_size(*sample.source))
        except InvalidInput:  # reported when the image is processed
            return 1, 1


Refine = Callable[["Sample", "Cams", tuple[int, int]], "Floats"]
"""Image, its maps, and the size ``(h, w)`` of the grid → refined maps ``(K', h, w)`` ≥ 0; picklable."""


def refine_maps(
    ctx: Context[Any],
    refine: Refine,
    grid: WorkingGrid,
    description: str,
    memory: Callable[[Sample], int],
    *,
    one_process: bool = False,
) -> dict[str, Any]:
    """Write the refined maps of all images, each divided by its maximum; return metrics.

    Args:
        ctx: its config has ``splits``, its inputs ``cams``.
        refine: see `Refine`.
        memory: estimated memory for an image in bytes.
        one_process: process one image at a time, whatever the number of workers; ``refine`` may then hold a network.
    """
    ctx = replace(ctx, workers=1) if one_process else ctx
    samples = ctx.data.samples(ctx.config.splits)
    folders: dict[str, Any] = {"cams": ctx.inputs["cams"].path, "out": ctx.out, "classes": ctx.data.classes}
    check = partial(_check_finished, grid=grid, **folders)
    todo = pending(ctx, samples, output=lambda sample: cam_path(ctx.out, sample.id), check=check)
    map_items(ctx, todo, partial(_write, refine=refine, grid=grid, **folders), description, memory=memory)
    mean, sizes = read_back(ctx, samples)
    reduced = note_reduced(ctx, sizes, grid.max_side, how="the maps are upsampled where they are used")
    return {"images": len(samples), "mean_activation": mean, **reduced}


def _check_finished(sample: Sample, *, cams: Path, out: Path, classes: Classes, grid: WorkingGrid) -> None:
    source = read_maps(cams, sample, classes)
    check_maps(sample, out=out, classes=classes, of=source.classes, shape=grid.cells(source.size))


def _write(sample: Sample, *, cams: Path, out: Path, classes: Classes, refine: Refine, grid: WorkingGrid) -> None:
    source = read_maps(cams, sample, classes)
    maps = refine(sample, source, grid.cells(source.size))
    write_cams(cam_path(out, sample.id), Cams(_normalised(maps), source.classes, source.size))


def _normalised(maps: Floats) -> Floats:
    """Divide every map by its maximum, as `cam` does; maps of zeros remain zero."""
    highest = maps.max((1, 2), initial=0)[:, None, None]
    scaled = np.divide(maps, highest, out=np.zeros(maps.shape, np.float32), where=highest > 0)
    return np.asarray(scaled.clip(0, 1), np.float32)


def read_reduced(sample: Sample, max_side: int | None) -> NDArray[np.uint8]:
    """Read an image, downscaled to a longer side of ``max_side`` pixels: ``(H, W, 3)`` uint8."""
    return reduced(read_image(*sample.source), max_side)


def reduced_in(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of the metrics on images that were downscaled, for the provenance; empty if there were none."""
    return {key: value for key, value in metrics.items() if key == "reduced"}


def ready_maps(ctx: Context[Any]) -> None:
    """Require maps of all images."""
    require_maps(ctx.inputs["cams"].path, ctx.data.samples(ctx.config.splits))


def inspect_refined(ctx: Context[Any]) -> None:
    """Read the maps of all images."""
    inspect_maps(ctx, ctx.data.samples(ctx.config.splits), ctx.inputs["cams"].path)


REFINES: dict[str, Any] = {
    "provides": "cams",
    "resumes": True,
    "reads": lambda config: reads_of(config.splits, "images"),
    "covers": lambda config: config.splits,
    "needs_splits": lambda config: config.splits,
    "check": lambda config, data: data.samples(config.splits),
    "inspect": inspect_refined,
}
"""Fields of `Stage` that the stages have in common."""
