"""Per-image work of a network: batches of images of one size, done in this process, shared among ranks.

Which images share a batch depends on the list of images alone: a run that was interrupted does whole batches again,
so that each image always goes through the network in the same company. (On a CPU this makes no difference to the
result; on a GPU another batch size may mean another algorithm.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.errors import DamagedFile, InvalidInput, together
from wsss.io.process.shared_state import working_on
from wsss.pipeline.run.items import REPAIR, log_resume
from wsss.pipeline.stage import Context

if TYPE_CHECKING:
    from wsss.data.sample import Sample

Batch = tuple["Sample", ...]


def work_in_batches(
    ctx: Context[Any],
    samples: Sequence[Sample],
    work: Callable[[Batch], None],
    *,
    batch_size: int,
    outputs: Callable[[Sample], Sequence[Path]],
    check: Callable[[Sample], Any],
    description: str,
) -> dict[str, InvalidInput]:
    """Do ``work`` for every batch whose files aren't all there; the wait for other ranks is the caller's.

    Args:
        ctx: gives ranks, progress and log.
        samples: all images.
        work: makes the files of a batch.
        batch_size: most images in a batch; all of one size.
        outputs: an image's files.
        check: reads an image's files, and raises `InvalidInput` when they are no result of it; its batch is done again
            with a warning.
        description: shown beside the progress bar.

    Returns:
        This rank's images that can't be processed, id → why; all others are done.
    """
    mine = ctx.ranks.shard(same_size_batches(samples, batch_size))
    left = [batch for batch in mine if not _complete(ctx, batch, outputs, check)]
    own, done = sum(map(len, mine)), sum(map(len, mine)) - sum(map(len, left))
    if own < len(samples):  # other ranks have the rest; their images count by their files
        done = sum(all(path.is_file() for path in outputs(sample)) for sample in samples)
    log_resume(ctx, done, len(samples))
    advance = ctx.progress.track(description, sum(map(len, mine)), sum(map(len, mine)) - sum(map(len, left)))
    failed: dict[str, InvalidInput] = {}
    for batch in left:
        working_on(sample.id for sample in batch)
        failed |= _failures(work, batch, ctx.log)
        advance(len(batch))
    working_on([])
    return failed


def require_all(failed: Mapping[str, InvalidInput], samples: Sequence[Sample]) -> None:
    """Raise one error for all images that `work_in_batches` returned.

    Raises:
        InvalidInput: names them.
    """
    if failed:
        raise together(list(failed.values()), len(samples), "images failed", hint=REPAIR)


def _failures(work: Callable[[Batch], None], batch: Batch, log: Callable[[str], None]) -> dict[str, InvalidInput]:
    """Do the work, of several images one by one where together they fail; return what still fails."""
    try:
        work(batch)
    except DamagedFile:
        raise
    except InvalidInput as error:
        if len(batch) > 1:
            return {name: why for one in batch for name, why in _failures(work, (one,), log).items()}
        named = named_after(batch[0], error)
        log(f"warning: {named.message} The other images are processed first.")
        return {batch[0].id: named}
    return {}


def named_after(sample: Sample, error: InvalidInput) -> InvalidInput:
    """Return an error that names the image."""
    if sample.id in error.message:
        return error
    return InvalidInput(f"{sample.image}: {error.message}", hint=error.hint)


def same_size_batches(samples: Sequence[Sample], batch_size: int) -> list[Batch]:
    """Return batches of images of one size, in the order of their first images."""
    if batch_size == 1:
        return [(sample,) for sample in samples]
    from wsss.io.rasters.rgb_images import image_size

    open_batches: dict[tuple[int, int], list[Sample]] = {}
    batches: list[list[Sample]] = []
    for sample in samples:
        try:
            size = image_size(sample.image)
        except InvalidInput:  # the work fails for the same reason
            batches.append([sample])
            continue
        batch = open_batches.get(size)
        if batch is None or len(batch) == batch_size:
            batch = open_batches[size] = []
            batches.append(batch)
        batch.append(sample)
    return [tuple(batch) for batch in batches]


def _complete(
    ctx: Context[Any], batch: Batch, outputs: Callable[[Sample], Sequence[Path]], check: Callable[[Sample], Any]
) -> bool:
    complete = True
    for sample in batch:
        if not all(path.is_file() for path in outputs(sample)):
            complete = False
            continue
        try:
            check(sample)
        except InvalidInput as error:
            ctx.log(f"warning: {error.message} It is made again.")
            complete = False
    return complete
