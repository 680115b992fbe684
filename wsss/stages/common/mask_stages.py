"""Masks that a stage writes image by image: shared by `pseudo`, and by `crf` and `snap`, which read masks, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from wsss.data.classes import renumber
from wsss.data.sample_mask import shows_class
from wsss.errors import listing
from wsss.io.files.stage_files import mask_path
from wsss.io.rasters.label_masks import IGNORE, read_mask
from wsss.io.rasters.rgb_images import image_size
from wsss.pipeline.run.items import Pending, map_items, map_shared, pending
from wsss.pipeline.stage import Context, Input, reads_of
from wsss.stages.common.check_outputs import check_mask
from wsss.stages.common.corrected_masks import (
    corrections_of,
    images_of,
    inspect_corrections,
    stated_corrections,
    stated_network,
)
from wsss.stages.common.input_masks.mask_inputs import ANY_FOLDER, require_class, supervision_of, with_masks
from wsss.stages.common.require_inputs import MAKE_MASKS

if TYPE_CHECKING:
    from pathlib import Path

    from wsss.data.corrections.correction_folder import Corrections
    from wsss.data.sample import Sample

MASKS = Input(("masks",), f"folder of a pseudo, crf or predict stage, or {ANY_FOLDER}")


@dataclass(frozen=True)
class _Task:
    """An image whose mask is written, with its own corrected mask only: tasks are sent to worker processes."""

    sample: Sample
    corrections: Corrections | None

    @property
    def id(self) -> str:
        """Id of the image."""
        return self.sample.id


class WriteMask(Protocol):
    """Writes the mask of an image."""

    def __call__(self, sample: Sample, *, corrections: Corrections | None) -> None:
        """Write the mask; ``corrections`` covers this image only."""


def _perform(task: _Task, *, work: WriteMask) -> None:
    work(task.sample, corrections=task.corrections)


def write_masks(
    ctx: Context[Any],
    samples: Sequence[Sample],
    work: WriteMask,
    description: str,
    *,
    memory: Callable[[Sample], int],
    threads: bool = False,
) -> None:
    """Call ``work`` for every image without a valid mask; see `wsss.pipeline.run.items.map_items`.

    Args:
        ctx: context of a stage with `CorrectionsFolder`.
    """
    check = partial(check_mask, out=ctx.out, classes=ctx.data.classes)
    left = pending(ctx, samples, output=lambda sample: mask_path(ctx.out, sample.id), check=check)
    corrections = corrections_of(ctx)
    tasks = [_Task(sample, corrections and corrections.only(sample.id)) for sample in left]
    todo = Pending(tasks, done=left.done, total=left.total)
    map_items(
        ctx, todo, partial(_perform, work=work), description, memory=lambda task: memory(task.sample), threads=threads
    )


def masked(ctx: Context[Any], log: Callable[[str], None] = lambda line: None) -> tuple[Sample, ...]:
    """Return the samples with the masks to refine; ``log`` receives a note on guessed file names."""
    samples, of = ctx.data.samples(ctx.config.splits), f"splits {listing(ctx.config.splits)}"
    return with_masks(ctx.inputs["masks"].path, samples, ctx.data, of=of, hint=MAKE_MASKS, log=log)


def require_foreground(ctx: Context[Any], samples: Sequence[Sample], *, purpose: str) -> None:
    """Require that the masks to refine show a class, see `require_class`."""
    hint = f"If 255 means a class, {renumber(ctx.data.classes)}."
    require_class(ctx.inputs["masks"], samples, ctx.data.classes, purpose=purpose, hint=hint)


@dataclass(frozen=True)
class Change:
    """Fractions of changed and of uncertain pixels of a refined mask; whether it shows a class; height and width."""

    changed: float
    uncertain: float
    shows_class: bool
    size: tuple[int, int]


def read_changes(ctx: Context[Any], samples: Sequence[Sample]) -> list[Change]:
    """Return the change of every mask; the samples are `masked`."""
    return map_shared(ctx, samples, partial(_changed, after=ctx.out), "reading back")


def _changed(sample: Sample, *, after: Path) -> Change:
    new = read_mask(mask_path(after, sample.id), size=image_size(*sample.source))
    assert sample.mask is not None
    old = read_mask(sample.mask, size=new.shape)
    uncertain = float((new == IGNORE).mean())
    return Change(float((new != old).mean()), uncertain, shows_class(new), (new.shape[0], new.shape[1]))


def stated_refinement(ctx: Context[Any], samples: Sequence[Sample]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return metrics and provenance of the corrections of refined masks, see `stated_corrections`."""
    masks = ctx.inputs["masks"]
    return stated_corrections(ctx, samples, images_of(ctx.config.splits), supervision_of(masks), stated_network(masks))


REFINES_MASKS: dict[str, Any] = {
    "provides": "masks",
    "resumes": True,
    "reads": lambda config: reads_of(config.splits, "images"),
    "covers": lambda config: config.splits,
    "needs_splits": lambda config: config.splits,
    "prepare": lambda config, data: inspect_corrections(config.corrections, data, config.splits),
    # Scores of networks would measure the corrections.
    "supervised": lambda values, upstream: "predict" not in upstream,
}
"""Fields of `Stage` that `crf` and `snap` have in common."""
