"""Work on batches of equally sized images in this process, shared among ranks.

The composition of batches depends on the list of images alone, and an interrupted run repeats whole batches: each image
is always processed together with the same other images. (On a GPU another batch size may select another algorithm and
change the result; on a CPU it does not.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.errors import DamagedFile, InvalidInput
from wsss.io.process.shared_state import set_current_items
from wsss.pipeline.run.items import log_resume, raise_failures
from wsss.pipeline.stage import Context

if TYPE_CHECKING:
    from wsss.data.sample import Sample

Batch = tuple["Sample", ...]

GPU_BATCHES = 2
"""Number of batches at once on a GPU: it computes one, while the images of another are read or its files written."""


def batches_at_once(device: str) -> int:
    """Return the number of batches that are processed at once on ``"cpu"`` or ``"cuda"``."""
    return 1 if device == "cpu" else GPU_BATCHES


def work_in_batches(
    ctx: Context[Any],
    samples: Sequence[Sample],
    work: Callable[[Batch], None],
    *,
    batch_size: int,
    outputs: Callable[[Sample], Sequence[Path]],
    check: Callable[[Sample], Any],
    description: str,
    at_once: int = 1,
) -> dict[str, InvalidInput]:
    """Call ``work`` for every batch with unfinished images; must be called by every rank; all begin together.

    Args:
        ctx: provides ranks, progress and log.
        work: writes the files of a batch.
        batch_size: maximum number of images in a batch; all have the same size.
        outputs: returns the files of an image.
        check: reads the files of an image and raises `InvalidInput` if they are invalid; the batch is then repeated
            with a warning.
        at_once: number of batches that are processed at once, each in its own thread; memory is proportional to it.

    Returns:
        Image id → error, for the images of this rank that failed; all others are finished.
    """
    mine = ctx.ranks.shard(same_size_batches(samples, batch_size))
    left = [batch for batch in mine if not _complete(ctx, batch, outputs, check)]
    total = sum(map(len, mine))
    done = total - sum(map(len, left))
    log_resume(ctx, done, len(samples))
    advance = ctx.progress.track(description, total, done)
    failed: dict[str, InvalidInput] = {}
    for batch, errors in _processed(work, left, ctx.log, at_once):
        failed |= errors
        advance(len(batch))
    set_current_items([])
    return failed


def _processed(
    work: Callable[[Batch], None], batches: Sequence[Batch], log: Callable[[str], None], at_once: int
) -> Iterator[tuple[Batch, dict[str, InvalidInput]]]:
    """Yield batches in order, processed, with their errors."""
    if at_once == 1:
        for batch in batches:
            set_current_items(sample.id for sample in batch)
            yield batch, _failures(work, batch, log)
        return
    running: deque[tuple[Batch, Future[dict[str, InvalidInput]]]] = deque()
    with ThreadPoolExecutor(at_once) as pool:
        for batch in batches:
            if len(running) == at_once:
                yield running[0][0], running[0][1].result()
                running.popleft()
            running.append((batch, pool.submit(_failures, work, batch, log)))
            set_current_items(sample.id for each, _ in running for sample in each)
        for batch, future in running:
            yield batch, future.result()


def require_all(ctx: Context[Any], failed: Mapping[str, InvalidInput], samples: Sequence[Sample]) -> None:
    """Raise one error for all failures that `work_in_batches` returned on any rank; waits for all ranks.

    Raises:
        InvalidInput: at least one image failed.
    """
    of_all = gather_failures(ctx, failed)
    raise_failures([of_all[sample.id] for sample in samples if sample.id in of_all], len(samples))


def gather_failures(ctx: Context[Any], failed: Mapping[str, InvalidInput]) -> dict[str, InvalidInput]:
    """Return the failures of all ranks; called by every rank."""
    return {id: error for errors in ctx.ranks.gather(dict(failed)) for id, error in errors.items()}


def _failures(work: Callable[[Batch], None], batch: Batch, log: Callable[[str], None]) -> dict[str, InvalidInput]:
    """Process a batch, image by image if it fails as a whole; return the errors."""
    try:
        work(batch)
    except DamagedFile:
        raise
    except InvalidInput as error:
        if len(batch) > 1:
            return {id: failure for item in batch for id, failure in _failures(work, (item,), log).items()}
        sample = batch[0]
        named = error if sample.id in error.message else error.within(sample.image)
        log(f"warning: {named.message} The other images are processed first.")
        return {sample.id: named}
    return {}


def same_size_batches(samples: Sequence[Sample], batch_size: int) -> list[Batch]:
    """Return batches of equally sized images, ordered by their first images."""
    if batch_size == 1:
        return [(sample,) for sample in samples]
    from wsss.io.rasters.rgb_images import image_size

    open_batches: dict[tuple[int, int], list[Sample]] = {}
    batches: list[list[Sample]] = []
    for sample in samples:
        try:
            size = image_size(*sample.source)
        except InvalidInput:  # reported when the image is processed
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
            ctx.log(f"warning: {error.message} It is computed again.")
            complete = False
    return complete
