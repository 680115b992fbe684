"""Pixel counts of maps against the ground truth at many thresholds, for `sweep` and the oracle of `pseudo`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.pipeline.stage import Context
from wsss.stages.common.footprint import image_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsss.data.classes import Classes
    from wsss.data.masks.encodings import Shown
    from wsss.data.sample import Remark, Sample


BYTES_PER_PIXEL = 30


def count_levels(ctx: Context[Any], samples: Sequence[Sample], levels: Sequence[float]) -> list[LevelCount]:
    """Read the maps of each image once, and count its pixels at all thresholds.

    Args:
        ctx: provides maps (input ``cams``), dataset and workers.
        samples: images with ground truth.
        levels: ascending thresholds.

    Raises:
        InvalidInput: maps or ground truth cannot be read, do not fit each other, or the ground truth mixes two
            encodings (`wsss.data.masks.encodings`).
    """
    from wsss.data.masks.encodings import check_encoding
    from wsss.data.masks.ground_truth import log_remarks
    from wsss.pipeline.run.items import map_shared

    classes = ctx.data.classes
    work = partial(_count, folder=ctx.inputs["cams"].path, classes=classes, levels=tuple(levels))
    shape = (len(classes), len(classes), len(levels) + 1)
    memory = partial(image_bytes, per_pixel=BYTES_PER_PIXEL)
    counted = map_shared(ctx, samples, work, "oracle sweep", memory=memory)
    seen = zip(samples, (truth for *_, truth in counted), strict=True)
    check_encoding(seen, classes, where="oracle sweep")
    if ctx.ranks.rank == 0:
        log_remarks(ctx.log, [remark for _, _, remarks, _ in counted for remark in remarks])
    return [LevelCount(shape, cells, counts) for cells, counts, _, _ in counted]


class LevelCount:
    """The histogram of one image (see `wsss.metrics.threshold_curve.level_histogram`), stored as its non-zero cells."""

    def __init__(self, shape: tuple[int, int, int], cells: NDArray[np.int32], counts: NDArray[np.uint32]) -> None:
        self.shape, self._cells, self._counts = shape, cells, counts

    def dense(self) -> NDArray[np.int64]:
        """Return the histogram, ``(C, C, L + 1)``."""
        import numpy as np

        histogram = np.zeros(self.shape, np.int64)
        histogram.ravel()[self._cells] = self._counts
        return histogram

    def add_to(self, total: NDArray[np.int64]) -> None:
        """Add the histogram to ``total``, ``(C, C, L + 1)``."""
        total.ravel()[self._cells] += self._counts


def _count(
    sample: Sample, *, folder: Path, classes: Classes, levels: tuple[float, ...]
) -> tuple[NDArray[np.int32], NDArray[np.uint32], tuple[Remark, ...], Shown]:
    import numpy as np

    from wsss.data.artifacts import read_maps
    from wsss.data.masks.encodings import shown
    from wsss.data.sample_mask import load_sample_mask
    from wsss.metrics.threshold_curve import level_histogram

    cams = read_maps(folder, sample, classes)
    truth, remarks = load_sample_mask(sample, classes, size=cams.size)
    counts = level_histogram(cams.each_at_full_size(), cams.classes, truth, len(classes), levels).ravel()
    cells = np.flatnonzero(counts)
    # 32 bits suffice for images of up to 128 megapixels, and halve the memory: the counts of all images are kept.
    return cells.astype(np.int32), counts[cells].astype(np.uint32), remarks, shown(truth)
