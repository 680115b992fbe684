"""Masks against image-level labels: absent classes that a mask shows, and labelled ones that it misses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsss.data.sample import Sample

MIN_SHARE = 0.001
"""A mask shows a class that has at least this share of the image's pixels."""


@dataclass(frozen=True)
class Contradiction:
    """What a mask and the image's labels disagree on.

    Args:
        shows: class index → share of the image's pixels, of the classes that the labels call absent.
        misses: indices of the labelled classes that the mask doesn't show.
    """

    shows: Mapping[int, float]
    misses: tuple[int, ...]

    @property
    def severity(self) -> float:
        """Number of missed classes plus the share of pixels of absent ones: the larger, the worse."""
        return len(self.misses) + sum(self.shows.values())


def contradiction(shares: NDArray[np.float64], sample: Sample) -> Contradiction | None:
    """Return what a mask and the labels of its image disagree on, ``None`` where nothing.

    Args:
        shares: ``(C,)``, share of the image's pixels of each class, background first.
        sample: its labels; without any there is nothing to contradict. Nothing is said of its unknown classes.
    """
    if sample.labels is None:
        return None
    known = [index for index in range(1, len(shares)) if index not in sample.unknown]
    shows = {one: float(shares[one]) for one in known if one not in sample.labels and shares[one] >= MIN_SHARE}
    misses = tuple(one for one in known if one in sample.labels and shares[one] < MIN_SHARE)
    return Contradiction(shows, misses) if shows or misses else None


def in_words(one: Contradiction, names: Sequence[str]) -> str:
    """Return a contradiction as text: ``shows dog (12.0%), misses cat``."""
    shows = ", ".join(f"{names[index]} ({share:.1%})" for index, share in one.shows.items())
    misses = ", ".join(names[index] for index in one.misses)
    return ", ".join([*([f"shows {shows}"] if shows else []), *([f"misses {misses}"] if misses else [])])
