"""Mean foreground fraction of masks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from wsss.data.classes import Classes
from wsss.data.sample import Sample
from wsss.data.sample_mask import read_sample_mask
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import IGNORE
from wsss.pipeline.run.items import map_shared
from wsss.pipeline.stage import Context


def foreground_of_masks(ctx: Context[Any], samples: Sequence[Sample]) -> float:
    """Return the mean fraction of foreground among the labelled pixels of masks; the ranks divide the reading.

    Args:
        ctx: the context of the stage.
        samples: images with masks; those without a labelled pixel do not count.

    Raises:
        InvalidInput: no mask has a labelled pixel, or all pixels are background or all foreground.
    """
    fractions = map_shared(ctx, samples, partial(_fraction, classes=ctx.data.classes), "reading the masks")
    known = [fraction for fraction in fractions if fraction is not None]
    mean = sum(known) / len(known) if known else 0.0
    if not 0 < mean < 1:
        raise InvalidInput(
            f"masks with both background and classes are required, found {'no' if mean == 0 else 'only'} foreground",
            subject=samples[0].mask and samples[0].mask.parent,
            hint="Pass the masks that the network was trained on.",
        )
    return mean


def _fraction(sample: Sample, *, classes: Classes) -> float | None:
    """Return the fraction of foreground among the labelled pixels of a mask; ``None`` if there are none."""
    mask = read_sample_mask(sample, classes)
    labelled = mask[mask != IGNORE]
    return float((labelled != 0).mean()) if labelled.size else None
