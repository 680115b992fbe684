"""Whether the ground-truth masks of a dataset of one class mix two encodings: 0/1 in some files, 0/255 in others.

In masks without stated values 255 means "ignore", so that files of 0 and 255 would count as background with ignored
objects. Such a file may also be right (an object that nobody drew, ignored as a whole), so only a set of masks is
refused in which nothing else explains them:

- the dataset has one class, leaves no other value out, and ``mask_values`` does not define 255;
- some masks hold 0 and 255 alone, with 255 on more than `MIN_IGNORED` of the pixels (borders alone hold less), and the
  image-level labels do not mark the image as showing no class;
- other masks show the class, and none of these holds 255, as masks with ignored borders or objects would.

Any other mask of 0 and 255 is counted in a warning (`wsss.data.sample_mask.ONLY_IGNORED`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wsss.data.classes import Classes
from wsss.data.mask_values import as_key
from wsss.data.sample import Sample
from wsss.data.sample_mask import read_sample_mask, shows_class
from wsss.errors import InvalidInput, counted, listing
from wsss.io.rasters.label_masks import BACKGROUND, IGNORE, IGNORED_NAMES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MIN_IGNORED = 0.01
"""Masks with a smaller fraction of 255 pixels are not suspected: these may be borders drawn around objects."""


class Shown(NamedTuple):
    """Whether a mask shows a class other than the background, and the fraction of its ignored pixels, 0 … 1."""

    a_class: bool
    ignored: float


def shown(mask: NDArray[np.uint8]) -> Shown:
    """Summarise a mask of class indices (255 = ignore)."""
    return Shown(shows_class(mask), float((mask == IGNORE).mean()))


def check_encoding(samples: Iterable[tuple[Sample, Shown]], classes: Classes, *, where: str) -> None:
    """Reject masks of two encodings.

    Args:
        samples: with what their ground-truth masks show.
        where: name of the samples in messages (``"split 'val'"``).

    Raises:
        InvalidInput: see the module; names the first masks.
    """
    masks = [(sample.mask, sample.labels, seen) for sample, seen in samples if _unstated(sample, classes)]
    with_class = [seen for _, _, seen in masks if seen.a_class]
    doubtful = [
        path for path, labels, seen in masks if labels != () and not seen.a_class and MIN_IGNORED < seen.ignored < 1
    ]
    if with_class and doubtful and not any(seen.ignored for seen in with_class):
        raise _mixed(doubtful, len(with_class), classes, where)


def read_and_check_encoding(samples: Iterable[Sample], classes: Classes, *, where: str) -> None:
    """Read the masks for `check_encoding`; none where the dataset cannot mix encodings.

    Raises:
        InvalidInput: see `check_encoding`; or a mask cannot be read.
    """

    def read() -> Iterator[tuple[Sample, Shown]]:
        for sample in samples:
            if _unstated(sample, classes):
                yield sample, shown(read_sample_mask(sample, classes))

    check_encoding(read(), classes, where=where)


def _unstated(sample: Sample, classes: Classes) -> bool:
    stated = sample.mask is None or sample.mask_values is not None or sample.drawing is not None
    return not stated and len(classes) == 2 and not classes.other


def _mixed(doubtful: list[Path | None], with_class: int, classes: Classes, where: str) -> InvalidInput:
    (name,) = classes.foreground
    known = [(0, BACKGROUND), *((value, name) for value in classes.values[1])]
    return InvalidInput(
        f"{counted(len(doubtful), 'ground-truth mask contains', 'ground-truth masks contain')} only 0 and "
        f"255, which means ignore: {listing((str(path) for path in doubtful), limit=3)}. The {with_class} that show "
        f"{name} contain no 255, so 255 probably means {name} in the others.",
        subject=where,
        hint=f"Specify the meaning of 255: data.{as_key([*known, (IGNORE, name)])}, or data."
        f"{as_key([*known, (IGNORE, IGNORED_NAMES[0])])} (on the command line: --data.mask_values '{{…}}'; with wsss "
        "run: --set 'data.mask_values={…}').",
    )
