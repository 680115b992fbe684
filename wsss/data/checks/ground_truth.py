"""Whether ground-truth masks can be measured against: all are there, and they show a class.

Masks of 0 and 255 in a dataset of one class are the usual mistake: 255 means "ignore", so that such masks hold nothing
but background, and every prediction without a class would get the best score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from wsss.data.masks.mask_values import as_key
from wsss.data.sample import ONLY_IGNORED, Classes, Dataset, Remark, Sample, read_truth
from wsss.errors import InvalidInput, counted, listing
from wsss.io.rasters.label_masks import BACKGROUND, IGNORE, load_mask
from wsss.io.rasters.mask_files import UNUSED

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_READ = 20
"""Masks that are read again for the values that a message names."""


def require_masks(data: Dataset, samples: Sequence[Sample], *, of: str, hint: str, start: str = "") -> None:
    """Make certain that each sample has a ground-truth mask.

    Args:
        data: the dataset, for what its folders of masks hold instead.
        samples: of one or several splits.
        of: what they are called (``"split 'val'"``).
        hint: hint where no folder of masks holds files that don't fit.
        start: what the message begins with (``"score: "``).

    Raises:
        InvalidInput: some have none; names them, and masks that match no image.
    """
    missing = [sample.id for sample in samples if sample.mask is None]
    if missing:
        unfit = [f"{message}." for kind, message in data.remarks if kind in UNUSED]
        count = f"{len(missing)} of the {len(samples)} images of {of}"
        found = f"{start}{count} have no ground-truth mask: {listing(missing)}."
        raise InvalidInput(
            "\n".join([found, *unfit]),
            hint="Name each mask like its image: ID.png (or .tif, .bmp, .gif)." if unfit else hint,
        )


def check_truth(samples: Sequence[Sample], classes: Classes, *, where: str) -> None:
    """Refuse ground truth in which no pixel has a class; the first mask usually answers.

    Args:
        samples: all with a mask.
        classes: of the dataset.
        where: what the samples are called (``"split 'val'"``).

    Raises:
        InvalidInput: no pixel of any mask has a class other than the background, so that empty predictions would be
            perfect; or a mask can't be read.
    """
    ignored = 0
    for sample in samples:
        mask = read_truth(sample, classes)
        if shows_class(mask):
            return
        ignored += bool((mask == IGNORE).any())
    if ignored:
        raise _nothing_but_ignored(samples, classes, ignored, where)
    labelled = sum(bool(sample.labels) for sample in samples)
    found = f"{where}: no pixel of any ground-truth mask has a class: {len(samples)} of {len(samples)} masks are 0"
    if labelled:
        raise InvalidInput(
            f"{found}, and the image-level labels of {counted(labelled, 'image')} name a class.",
            hint="`wsss data check` lists each contradiction; the masks may be the wrong ones.",
        )
    raise InvalidInput(
        f"{found}, so that a prediction without any class would be perfect.",
        hint="Choose a split that shows the classes; the masks may be the wrong ones.",
    )


def shows_class(mask: NDArray[np.uint8]) -> bool:
    """Tell whether a mask of class indices has a pixel of a class other than the background."""
    return bool(((mask != 0) & (mask != IGNORE)).any())


def name_255(classes: Classes) -> str:
    """Return the key that gives 255 to a class (of several the first): ``mask_values: {0: background, 255: road}``."""
    return as_key([(0, BACKGROUND), (IGNORE, classes.foreground[0])])


def _nothing_but_ignored(samples: Sequence[Sample], classes: Classes, ignored: int, where: str) -> InvalidInput:
    masks = [sample.mask for sample in samples if sample.mask is not None]
    names = listing(classes.foreground, limit=10)
    found = f"{where}: no pixel of any ground-truth mask in {masks[0].parent} has a class ({names}), and"
    own = samples[0].mask_values
    if own is not None:
        key = as_key(own.named) if own.named else "those of this layout"
        return InvalidInput(
            f"{found} {ignored} of {len(masks)} masks hold ignored pixels. Mask values: {key}.",
            hint="Give the value of a class its name in data.mask_values.",
        )
    values = {int(value) for path in masks[:MOST_READ] for value in np.unique(load_mask(path)[0])}
    found += f" {ignored} of {len(masks)} masks hold 255, which means ignore."
    if values & classes.other:
        left_out = listing(sorted(values & classes.other), limit=10)
        return InvalidInput(
            f"{found} They show values of classes left out of data.classes: {left_out}.",
            hint="Choose a split that shows the classes, or other classes.",
        )
    several = f" (or {listing(classes.foreground[1:])})" if len(classes) > 2 else ""
    key = name_255(classes)
    value = key.partition(": ")[2]
    return InvalidInput(
        f"{found} Values found: {listing(sorted(values), limit=10)}.",
        hint=f"If 255 means {classes.foreground[0]}{several} in these masks, add this key to data: {key}\n"
        f"(as an option: --data.mask_values '{value}', of wsss run --set 'data.mask_values={value}')",
    )


def log_remarks(log: Callable[[str], None], remarks: Sequence[Remark]) -> None:
    """Print one line per kind of remark, with its number and examples; a warning where a number may be wrong."""
    kinds: dict[str, dict[str, None]] = {}
    for kind, message in remarks:
        kinds.setdefault(kind, {})[message] = None
    for kind, messages in kinds.items():
        log(f"{'warning' if kind == ONLY_IGNORED else 'note'}: {kind} ({len(messages)}): {listing(messages)}.")
