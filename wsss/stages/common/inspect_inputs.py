"""Reading every file that a stage takes of its inputs, before an earlier result of it is deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.pipeline.stage import Context

if TYPE_CHECKING:
    from wsss.data.sample import Classes, Sample


def inspect_maps(ctx: Context[Any], samples: Sequence[Sample], folder: Path) -> None:
    """Read the maps of all images.

    Raises:
        InvalidInput: names those that are damaged or don't fit their image.
    """
    _inspect(ctx, samples, partial(_maps, folder=folder, classes=ctx.data.classes), "maps")


def inspect_masks(ctx: Context[Any], samples: Sequence[Sample]) -> None:
    """Read the masks of all samples; for ``InvalidInput`` see `inspect_maps`."""
    _inspect(ctx, samples, partial(_mask, classes=ctx.data.classes), "masks")


def inspect_probabilities(ctx: Context[Any], samples: Sequence[Sample], folder: Path) -> None:
    """Read the class probabilities of all images; for ``InvalidInput`` see `inspect_maps`."""
    _inspect(ctx, samples, partial(_probabilities, folder=folder, classes=len(ctx.data.classes)), "probabilities")


def _inspect(ctx: Context[Any], samples: Sequence[Sample], read: Callable[[Sample], None], what: str) -> None:
    from wsss.pipeline.run.items import map_items

    map_items(ctx, samples, read, f"reading the {what}")


def _maps(sample: Sample, *, folder: Path, classes: Classes) -> None:
    from wsss.data.artifacts import read_maps

    read_maps(folder, sample, classes)


def _mask(sample: Sample, *, classes: Classes) -> None:
    from wsss.data.sample import read_truth
    from wsss.io.rasters.rgb_images import image_size

    read_truth(sample, classes, size=image_size(sample.image))


def _probabilities(sample: Sample, *, folder: Path, classes: int) -> None:
    from wsss.io.files.stage_files import probability_path
    from wsss.io.rasters.probabilities import read_probabilities
    from wsss.io.rasters.rgb_images import image_size

    read_probabilities(probability_path(folder, sample.id), classes=classes, size=image_size(sample.image))
