"""Reading all input files of a stage before its earlier result is deleted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.pipeline.run.items import map_items
from wsss.pipeline.stage import Context
from wsss.stages.common.check_outputs import check_maps, check_probabilities

if TYPE_CHECKING:
    from wsss.data.classes import Classes
    from wsss.data.sample import Sample


def inspect_maps(ctx: Context[Any], samples: Sequence[Sample], folder: Path) -> None:
    """Read the maps of all images.

    Raises:
        InvalidInput: lists the maps that are damaged or do not fit their images.
    """
    map_items(ctx, samples, partial(check_maps, out=folder, classes=ctx.data.classes), "reading the maps")


def inspect_masks(ctx: Context[Any], samples: Sequence[Sample]) -> None:
    """Read the masks of all samples; for ``InvalidInput`` see `inspect_maps`."""
    map_items(ctx, samples, partial(_read_mask, classes=ctx.data.classes), "reading the masks")


def inspect_probabilities(ctx: Context[Any], samples: Sequence[Sample], folder: Path) -> None:
    """Read the class probabilities of all images; for ``InvalidInput`` see `inspect_maps`."""
    check = partial(check_probabilities, out=folder, classes=ctx.data.classes)
    map_items(ctx, samples, check, "reading the probabilities")


def _read_mask(sample: Sample, *, classes: Classes) -> None:
    from wsss.data.sample_mask import read_sample_mask
    from wsss.io.rasters.rgb_images import image_size

    read_sample_mask(sample, classes, size=image_size(*sample.source))
