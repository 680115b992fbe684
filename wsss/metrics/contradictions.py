"""Contradictions between masks and image-level labels: spurious classes and missing classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsss.data.sample import Sample

MIN_FRACTION = 0.001
"""Minimum fraction of the image's pixels at which a class counts as present in a mask."""


@dataclass(frozen=True)
class Contradiction:
    """Contradiction between a mask and the labels of its image.

    Args:
        shows: classes of the mask that the labels exclude: class index → fraction of the image's pixels.
        misses: indices of labelled classes that are missing from the mask.
    """

    shows: Mapping[int, float]
    misses: tuple[int, ...]

    @property
    def severity(self) -> float:
        """Number of missing classes plus the fraction of pixels of spurious ones; larger is worse."""
        return len(self.misses) + sum(self.shows.values())


def contradiction(fractions: NDArray[np.float64], sample: Sample) -> Contradiction | None:
    """Return the contradiction between a mask and the labels of its image, or ``None``.

    Args:
        fractions: ``(C,)``, fraction of the image's pixels of each class, background first.
        sample: the image with its labels; unknown classes and images without labels are never contradicted.
    """
    if sample.labels is None:
        return None
    known = [index for index in range(1, len(fractions)) if index not in sample.unknown]
    shows = {k: float(fractions[k]) for k in known if k not in sample.labels and fractions[k] >= MIN_FRACTION}
    misses = tuple(k for k in known if k in sample.labels and fractions[k] < MIN_FRACTION)
    return Contradiction(shows, misses) if shows or misses else None


def in_words(contradiction: Contradiction, names: Sequence[str]) -> str:
    """Return a contradiction as text: ``shows dog (12.0%), misses cat``."""
    shows = ", ".join(f"{names[index]} ({share:.1%})" for index, share in contradiction.shows.items())
    misses = ", ".join(names[index] for index in contradiction.misses)
    return ", ".join([*([f"shows {shows}"] if shows else []), *([f"misses {misses}"] if misses else [])])
