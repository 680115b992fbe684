"""Comparison of predicted masks with the image-level labels: absent classes that are shown, present ones missed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsss.data.classes import Classes
    from wsss.data.sample import Sample

WORST = 10
"""Maximum number of contradictions listed."""


def class_fractions(sample: Sample, *, out: Path, classes: Classes) -> NDArray[np.float64]:
    """Return the fraction of each class in the pixels of a mask in a stage's folder, ``(C,)``."""
    import numpy as np

    from wsss.data.artifacts import read_indices
    from wsss.io.rasters.label_masks import value_counts

    mask = read_indices(out, sample.id, classes)
    return np.asarray(value_counts(mask)[: len(classes)] / mask.size)


def label_check(samples: Sequence[Sample], fractions: Sequence[Any], names: Sequence[str]) -> dict[str, Any]:
    """Return metrics of how masks agree with the image-level labels; empty if no image has labels.

    Args:
        fractions: fraction of each class in the pixels of each image, ``(C,)``.

    Returns:
        ``label_check``: counts of images; ``contradictions``: the most severe ones first.
    """
    from wsss.metrics.contradictions import MIN_FRACTION, contradiction, in_words

    labelled = [
        (sample, fraction) for sample, fraction in zip(samples, fractions, strict=True) if sample.labels is not None
    ]
    if not labelled:
        return {}
    pairs = [(sample, contradiction(fraction, sample)) for sample, fraction in labelled]
    wrong = [(sample, problem) for sample, problem in pairs if problem is not None]
    worst = sorted(wrong, key=lambda pair: (-pair[1].severity, pair[0].id))[:WORST]
    counts = {
        "labelled_images": len(labelled),
        "images_without_labels": len(samples) - len(labelled),
        "contradicting": len(wrong),
        "show_an_absent_class": sum(bool(problem.shows) for _, problem in wrong),
        "miss_a_labelled_class": sum(bool(problem.misses) for _, problem in wrong),
        "least_share_of_pixels": MIN_FRACTION,
    }
    rows = [{"image": sample.id, "contradiction": in_words(problem, names)} for sample, problem in worst]
    return {"label_check": counts, **({"contradictions": rows} if rows else {})}
