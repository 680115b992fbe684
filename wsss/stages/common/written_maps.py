"""The maps that a stage has written, read back from its folder, so that a resumed run reports the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.data.artifacts import read_maps
from wsss.pipeline.run.items import map_shared
from wsss.pipeline.stage import Context
from wsss.stages.common.image_size_notes import Sizes

if TYPE_CHECKING:
    from wsss.data.classes import Classes
    from wsss.data.sample import Sample


def read_back(ctx: Context[Any], samples: Sequence[Sample]) -> tuple[float | None, Sizes]:
    """Return the mean over all written maps (``None`` without maps), and the id and size of every image."""
    written = map_shared(ctx, samples, partial(_means_and_size, out=ctx.out, classes=ctx.data.classes), "reading back")
    means = [mean for of_image, _ in written for mean in of_image]
    sizes = [(sample.id, size) for sample, (_, size) in zip(samples, written, strict=True)]
    return sum(means) / len(means) if means else None, sizes


def _means_and_size(sample: Sample, *, out: Path, classes: Classes) -> tuple[list[float], tuple[int, int]]:
    cams = read_maps(out, sample, classes)
    return [float(class_map.mean()) for class_map in cams.maps], cams.size
