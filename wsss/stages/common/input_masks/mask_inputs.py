"""Masks as inputs of a stage: matched to images by id, and validated before they are used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.errors import InvalidInput, listing
from wsss.io.process.thread_map import map_in_threads
from wsss.io.rasters.mask_files import GUESSED, UNUSED, masks_by_id, masks_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsss.data.classes import Classes
    from wsss.data.dataset import Dataset
    from wsss.data.masks.encodings import Shown
    from wsss.data.sample import Remark, Sample
    from wsss.pipeline.stage import Artifact, Context

ANY_FOLDER = "any folder with ID.png or masks/ID.png"
"""Alternative to the folder of a stage, for the help of inputs."""


def supervision_of(masks: Artifact) -> str:
    """Return the labels that the masks of a stage were derived from, if known."""
    return str(masks.provenance.get("supervision", "masks of unstated origin"))


def with_masks(
    folder: Path,
    samples: Sequence[Sample],
    data: Dataset,
    *,
    of: str,
    hint: str,
    log: Callable[[str], None] = lambda line: None,
) -> tuple[Sample, ...]:
    """Return the samples with their masks replaced by those of a folder.

    Args:
        folder: folder of a stage, or any folder with ``ID.png`` or ``masks/ID.png``.
        data: the dataset; the folder may also have masks of its other images.
        of: name of the samples in messages (``"split 'val'"``).
        log: receives a note on masks that were matched by a part of their name.

    Raises:
        InvalidInput: an image has no mask, or two.
    """
    directory = masks_folder(folder)
    ids = {sample.id for sample in (*data.all_samples(), *samples)}
    files = masks_by_id(directory, ids)
    missing = [sample.id for sample in samples if sample.id not in files.paths]
    remarks = dict(files.remarks())
    if missing:
        problem = f"no mask for {len(missing)} of {len(samples)} images of {of}: {listing(missing)}."
        unused = [f"{remarks[kind]}." for kind in UNUSED if kind in remarks]
        raise InvalidInput("\n".join([problem, *unused]), subject=directory, hint=hint)
    if GUESSED in remarks:
        log(f"note: {remarks[GUESSED]}")
    return tuple(replace(sample, mask=files.paths[sample.id], mask_values=None, drawing=None) for sample in samples)


@dataclass(frozen=True)
class MaskSummary:
    """Whether a mask shows a foreground class, whether it has ignored pixels, and remarks on how it was read."""

    shown: Shown
    remarks: tuple[Remark, ...] = ()

    @property
    def shows_class(self) -> bool:
        """Whether the mask shows a foreground class."""
        return self.shown.a_class

    @property
    def ignored(self) -> bool:
        """Whether it has ignored pixels."""
        return self.shown.ignored > 0


def summarise_mask(mask: NDArray[np.uint8], remarks: tuple[Remark, ...] = ()) -> MaskSummary:
    """Return the summary of a mask of class indices ``(H, W)``."""
    from wsss.data.masks.encodings import shown

    return MaskSummary(shown(mask), remarks)


def survey(ctx: Context[Any], samples: Sequence[Sample]) -> list[MaskSummary]:
    """Read the masks of all samples once, and log the remarks on how they were read; on the first rank only.

    Raises:
        InvalidInput: a mask cannot be read.
    """
    from wsss.data.masks.ground_truth import log_remarks

    advance = ctx.progress.track("reading the masks", len(samples))
    work = partial(_summarise, classes=ctx.data.classes)
    summaries = map_in_threads(work, samples, workers=ctx.workers, advance=advance)
    log_remarks(ctx.log, [remark for summary in summaries for remark in summary.remarks])
    return summaries


def _summarise(sample: Sample, *, classes: Classes) -> MaskSummary:
    from wsss.data.sample_mask import load_sample_mask

    return summarise_mask(*load_sample_mask(sample, classes))


def require_class(masks: Artifact, samples: Sequence[Sample], classes: Classes, *, purpose: str, hint: str) -> None:
    """Reject external masks in which no pixel has a class; the first mask usually suffices.

    A common mistake is to pass masks with the values 0 and 255, where 255 would mean "uncertain".

    Args:
        masks: the input; masks of a stage may be uncertain everywhere.
        samples: samples with these masks.
        purpose: use of the masks in messages (``"to train on"``).
        hint: hint if 255 means a class.

    Raises:
        InvalidInput: no pixel of any mask has a class, and 255 occurs in external masks.
    """
    from wsss.data.sample_mask import read_sample_mask

    ignored = 0
    for sample in samples:
        summary = summarise_mask(read_sample_mask(sample, classes))
        if summary.shows_class:
            return
        ignored += summary.ignored
    if ignored and masks.uses is None:
        raise InvalidInput(
            f"no pixel of any mask has a foreground class, and {ignored} of {len(samples)} masks contain 255, which "
            f"means uncertain in masks {purpose}",
            subject=samples[0].mask and samples[0].mask.parent,
            hint=hint,
        )


def count_empty(ctx: Context[Any], samples: Sequence[Sample], shows_class: Sequence[bool]) -> int:
    """Return the number of masks without a foreground class, and log a warning if there are any.

    Images without a class in their image-level labels are not counted.

    Args:
        ctx: provides rank and log.
        shows_class: whether the mask of each image shows a class.
    """
    expected = [(sample.id, shown) for sample, shown in zip(samples, shows_class, strict=True) if sample.labels != ()]
    empty = [id for id, shown in expected if not shown]
    if empty and ctx.ranks.rank == 0:
        ctx.log(f"warning: {len(empty)} of {len(expected)} masks show no class: {listing(empty)}.")
    return len(empty)
