"""Validation of ground truth: every sample has a mask, and the masks show a class.

A common mistake is masks of 0 and 255 in a dataset with one class: 255 means ignore, so such masks contain only
background, and an empty prediction would get the best score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.data.mask_values import as_key
from wsss.data.sample import Remark, Sample
from wsss.data.sample_mask import ONLY_IGNORED, read_sample_mask, shows_class
from wsss.errors import InvalidInput, counted, listing
from wsss.io.rasters.label_masks import BACKGROUND, IGNORE, load_mask
from wsss.io.rasters.mask_files import UNUSED

MAX_READ = 20
"""Maximum number of masks whose values an error lists."""


def require_masks(data: Dataset, samples: Sequence[Sample], *, of: str, hint: str, start: str = "") -> None:
    """Require a ground-truth mask for each sample.

    Args:
        data: the dataset; its remarks name mask files that match no image.
        samples: samples of one or more splits.
        of: name of the samples (``"split 'val'"``).
        hint: hint where all mask files match an image.
        start: subject of the error (``"score: "``).

    Raises:
        InvalidInput: names samples without a mask, and masks without an image.
    """
    missing = [sample.id for sample in samples if sample.mask is None]
    if not missing:
        return
    unmatched = [f"{message}." for kind, message in data.remarks if kind in UNUSED]
    count = f"{len(missing)} of the {len(samples)} images of {of} have no ground-truth mask: {listing(missing)}."
    raise InvalidInput(
        "\n".join([count, *unmatched]),
        subject=start.removesuffix(": ") or None,
        hint="Name each mask like its image: ID.png (or .tif, .bmp, .gif)." if unmatched else hint,
    )


def check_truth(samples: Sequence[Sample], classes: Classes, *, where: str) -> None:
    """Validate that some pixel of the ground truth has a foreground class; usually reads one mask only.

    Args:
        samples: samples with masks.
        where: name of the samples (``"split 'val'"``).

    Raises:
        InvalidInput: no pixel of any mask has a foreground class, so that empty predictions would be perfect; or a
            mask is unreadable.
    """
    ignored = 0
    for sample in samples:
        mask = read_sample_mask(sample, classes)
        if shows_class(mask):
            return
        ignored += bool((mask == IGNORE).any())
    raise _only_ignored(samples, classes, ignored, where) if ignored else _only_background(samples, where)


def log_remarks(log: Callable[[str], None], remarks: Sequence[Remark]) -> None:
    """Log one line per kind of remark with its number and examples; a warning where scores may be wrong."""
    kinds: dict[str, dict[str, None]] = {}
    for kind, message in remarks:
        kinds.setdefault(kind, {})[message] = None
    for kind, messages in kinds.items():
        log(f"{'warning' if kind == ONLY_IGNORED else 'note'}: {kind} ({len(messages)}): {listing(messages)}.")


def _only_background(samples: Sequence[Sample], where: str) -> InvalidInput:
    problem = f"no pixel of any ground-truth mask has a class: {len(samples)} of {len(samples)} masks are 0"
    labelled = sum(bool(sample.labels) for sample in samples)
    if labelled:
        return InvalidInput(
            f"{problem}, but the image-level labels of {counted(labelled, 'image')} name a class",
            subject=where,
            hint="`wsss data check` lists each contradiction. Check the masks: these may be the wrong files.",
        )
    return InvalidInput(
        f"{problem}, so an empty prediction would get a perfect score",
        subject=where,
        hint="Choose a split that shows the classes, and check the masks: these may be the wrong files.",
    )


def _only_ignored(samples: Sequence[Sample], classes: Classes, ignored: int, where: str) -> InvalidInput:
    masks = [sample.mask for sample in samples if sample.mask is not None]
    names = listing(classes.foreground, limit=10)
    problem = f"no pixel of any ground-truth mask in {masks[0].parent} has a class ({names})"
    count = f"{ignored} of {len(masks)} masks contain"
    own = samples[0].mask_values
    if samples[0].drawing is not None:
        hint = "Choose a split that shows the classes, or other classes."
        return InvalidInput(f"{problem}; {count} ignored pixels", subject=where, hint=hint)
    if own is not None:
        values = as_key(own.named) if own.named else "those of this layout"
        return InvalidInput(
            f"{problem}; {count} ignored pixels. Mask values: {values}",
            subject=where,
            hint="Assign a mask value to a class in data.mask_values.",
        )
    present = {int(value) for path in masks[:MAX_READ] for value in np.unique(load_mask(path)[0])}
    problem += f"; {count} 255, which means ignore"
    if present & classes.other:
        return InvalidInput(
            f"{problem}. Classes left out of data.classes have the values {listing(sorted(present & classes.other))}",
            subject=where,
            hint="Choose a split that shows the classes, or other classes.",
        )
    return InvalidInput(
        f"{problem}. Values in the masks: {listing(sorted(present), limit=10)}", subject=where, hint=_name_255(classes)
    )


def _name_255(classes: Classes) -> str:
    first, *others = classes.foreground
    several = f" (or {listing(others)})" if others else ""
    key = as_key([(0, BACKGROUND), (IGNORE, first)])
    value = key.partition(": ")[2]
    return (
        f"If 255 means {first}{several} in these masks, add this key to data: {key}\n"
        f"(as an option: --data.mask_values '{value}'; with wsss run: --set 'data.mask_values={value}')"
    )
