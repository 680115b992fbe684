"""Masks that a stage is given as an input: found by the images' ids, and looked at before they are worked on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.errors import InvalidInput, listing
from wsss.io.rasters.mask_files import GUESSED, UNUSED, masks_by_id, masks_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsss.data.masks.encodings import Shown
    from wsss.data.sample import Classes, Dataset, Remark, Sample
    from wsss.pipeline.stage import Artifact, Context

ANY_FOLDER = "any that holds ID.png or masks/ID.png"
"""What an input of masks may be beside a stage's folder, for help."""


def with_masks(
    folder: Path,
    samples: Sequence[Sample],
    data: Dataset,
    *,
    of: str,
    hint: str,
    log: Callable[[str], None] = lambda line: None,
) -> tuple[Sample, ...]:
    """Return the samples, each with its mask from a folder in place of the ground truth.

    Args:
        folder: of a stage, or any that holds ``ID.png`` itself or in ``masks/``.
        samples: the images.
        data: the dataset; masks of its other images may be there, too.
        of: what the images are called in an error (``"split 'val'"``).
        hint: hint for missing masks.
        log: prints a note on masks that were matched by a part of their name.

    Raises:
        InvalidInput: some images have no mask there, or two.
    """
    place = masks_folder(folder)
    ids = {sample.id for split in data.splits.values() for sample in split} | {sample.id for sample in samples}
    files = masks_by_id(place, ids)
    missing = [sample.id for sample in samples if sample.id not in files.found]
    remarks = dict(files.remarks())
    if missing:
        found = f"{place}: no mask of {len(missing)} of the {len(samples)} images of {of}: {listing(missing)}."
        raise InvalidInput("\n".join([found, *(f"{remarks[kind]}." for kind in UNUSED if kind in remarks)]), hint=hint)
    if GUESSED in remarks:
        log(f"note: {remarks[GUESSED]}")
    return tuple(replace(sample, mask=files.found[sample.id], mask_values=None) for sample in samples)


@dataclass(frozen=True)
class Look:
    """What a mask shows, and how it was read."""

    shown: Shown
    remarks: tuple[Remark, ...] = ()

    @property
    def shows_class(self) -> bool:
        """Whether it shows a class other than the background."""
        return self.shown.a_class

    @property
    def ignored(self) -> bool:
        """Whether it has ignored (unsure) pixels."""
        return self.shown.ignored > 0


def look_at(mask: NDArray[np.uint8], remarks: tuple[Remark, ...] = ()) -> Look:
    """Return what a mask of class indices shows."""
    from wsss.data.masks.encodings import shown

    return Look(shown(mask), remarks)


def survey(ctx: Context[Any], samples: Sequence[Sample]) -> list[Look]:
    """Read the masks of all samples once, and print the remarks on how they were read; for the first rank alone.

    Raises:
        InvalidInput: a mask can't be read.
    """
    from wsss.data.checks.ground_truth import log_remarks

    advance = ctx.progress.track("looking at the masks", len(samples))
    looks = []
    with ThreadPoolExecutor(max(1, ctx.workers)) as pool:  # decoding leaves Python's lock
        for look in pool.map(partial(_look, classes=ctx.data.classes), samples):
            looks.append(look)
            advance(1)
    log_remarks(ctx.log, [remark for look in looks for remark in look.remarks])
    return looks


def _look(sample: Sample, *, classes: Classes) -> Look:
    from wsss.data.sample import load_truth

    return look_at(*load_truth(sample, classes))


def require_class(masks: Artifact, samples: Sequence[Sample], classes: Classes, *, purpose: str, hint: str) -> None:
    """Refuse given masks in which no pixel has a class; the first mask usually answers.

    Masks of 0 and 255 from elsewhere are the usual mistake: 255 would mean "unsure" in all of them.

    Args:
        masks: the input; masks that a stage of ours made may be unsure throughout.
        samples: with the masks.
        classes: of the dataset.
        purpose: what the masks are for (``"to train on"``).
        hint: hint for masks in which 255 means a class.

    Raises:
        InvalidInput: no pixel of any mask has a class, and 255 occurs in masks from elsewhere.
    """
    from wsss.data.sample import read_truth

    unsure = 0
    for sample in samples:
        look = look_at(read_truth(sample, classes))
        if look.shows_class:
            return
        unsure += look.ignored
    if unsure and masks.uses is None:
        raise InvalidInput(
            f"{_folder_of(samples)}: no pixel of any mask has a class other than the background, and {unsure} of "
            f"{len(samples)} masks hold 255, which means unsure in masks {purpose}.",
            hint=hint,
        )


def renumber(classes: Classes) -> str:
    """Return the hint for masks in which 255 means a class: ``renumber it: cat 1, dog 2``."""
    pairs = [f"{name} {values[0]}" for name, values in zip(classes.foreground, classes.values[1:], strict=True)]
    return f"renumber it: {listing(pairs, limit=10)}"


def count_empty(ctx: Context[Any], samples: Sequence[Sample], shown: Sequence[bool]) -> int:
    """Return how many masks are background (or unsure) everywhere, and warn if there are any.

    Images whose image-level labels name no class are not counted: their masks are empty by right.

    Args:
        ctx: gives rank and log.
        samples: the images.
        shown: per image whether its mask shows a class.
    """
    empty = [sample.id for sample, shows in zip(samples, shown, strict=True) if not shows and sample.labels != ()]
    if empty and ctx.ranks.rank == 0:
        expected = sum(sample.labels != () for sample in samples)
        ctx.log(f"warning: {len(empty)} of {expected} masks show no class: {listing(empty)}.")
    return len(empty)


def _folder_of(samples: Sequence[Sample]) -> Path | None:
    return samples[0].mask and samples[0].mask.parent
