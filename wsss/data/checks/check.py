"""The integrity check of a dataset: counts, class balance, problems and notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from wsss.data.checks.check_report import Collected, Finding, Report, SplitCounts, extreme_sizes
from wsss.data.checks.inspection import Inspection, inspect_sample
from wsss.data.checks.split_checks import check_classes, check_copies, check_mask_files, check_pixels, check_splits
from wsss.data.dataset import Dataset
from wsss.data.masks.encodings import Shown, check_encoding
from wsss.data.readers.layout import Log
from wsss.data.readers.registry import parse_config, read_layout
from wsss.data.sample import Sample
from wsss.errors import InvalidInput
from wsss.io.process.thread_map import map_in_threads
from wsss.io.rasters.label_masks import ignored_name
from wsss.model_fields import KeyPath

UNOPENED = "datasets that cannot be opened"
"""Kind of the only problem of a dataset whose files do not match its layout."""

_Files = tuple[str, Path | None]
"""Id and mask: an image may have different masks in different splits (TopoMortar's label kinds)."""


def check_dataset(
    dataset: Dataset,
    *,
    workers: int = 4,
    advance: Callable[[int], None] = lambda steps: None,
    inspected: Mapping[str, Inspection] | None = None,
) -> Report:
    """Check a dataset; every pair of image and mask is read once.

    Args:
        workers: number of threads (decoding releases the GIL).
        advance: called with the number of finished pairs, to show progress.
        inspected: image id → earlier inspection, reused instead of reading the files again.
    """
    samples = _distinct(dataset)
    known = inspected or {}
    results = map_in_threads(
        lambda s: known.get(s.id) or inspect_sample(s, dataset.classes),
        samples.values(),
        workers=workers,
        advance=advance,
    )
    inspections = dict(zip(samples, results, strict=True))
    collected = Collected()
    collected.add_inspections(inspections.values())
    check_mask_files(dataset, collected)
    check_splits(dataset, collected)
    check_copies(dataset, collected)
    splits = {name: _count(dataset, split, inspections) for name, split in dataset.splits.items()}
    check_pixels(dataset, splits, collected)
    _check_encodings(dataset, inspections, collected)
    check_classes(dataset, splits, collected)
    return Report(
        name=dataset.name,
        root=str(dataset.root),
        classes=dataset.classes.foreground,
        splits=splits,
        sizes=extreme_sizes(inspections.values()),
        problems=collected.problems.findings(),
        notes=collected.notes.findings(),
        copies=tuple(collected.copies),
    )


def check_config(
    config: Mapping[str, Any],
    *,
    work: Path,
    log: Log = lambda line: None,
    start: Callable[[int], Callable[[int], None]] = lambda total: lambda steps: None,
    locate: Callable[[KeyPath], str] = lambda path: "",
    workers: int = 4,
) -> Report:
    """Open the dataset of a ``data:`` section and check it; a failure to open it is reported as a problem.

    Args:
        config: layout and its keys; see `wsss.data.readers.registry.parse_config`.
        work: writable folder for caches and generated data.
        start: called with the number of image-mask pairs; returns the function called with the number of finished ones.
        locate: key path relative to ``config`` → ``"file.yaml:12"`` or ``""``, for messages.
        workers: number of threads.

    Raises:
        InvalidInput: an invalid config, or an unknown layout.
    """
    layout, checked = parse_config(config, locate=locate)
    try:
        dataset = read_layout(layout, checked, work=work, log=log)
    except InvalidInput as error:
        root = str(config.get("root", ""))
        problem = Finding(UNOPENED, 1, (str(error),))
        return Report(name=Path(root).name, root=root, classes=(), splits={}, sizes=None, problems=(problem,))
    return check_dataset(dataset, workers=workers, advance=start(len(_distinct(dataset))))


def _files(sample: Sample) -> _Files:
    return sample.id, sample.mask


def _distinct(dataset: Dataset) -> dict[_Files, Sample]:
    return {_files(sample): sample for sample in dataset.all_samples()}


def _check_encodings(dataset: Dataset, inspections: Mapping[_Files, Inspection], collected: Collected) -> None:
    """Report splits whose masks mix two encodings."""
    for name, split in dataset.splits.items():
        counts = ((sample, inspections[_files(sample)].pixels) for sample in split)
        shown = [(name, Shown(any(n[1:-1]), n[-1] / max(1, sum(n)))) for name, n in counts if n is not None]
        try:
            check_encoding(shown, dataset.classes, where=f"split {name!r}")
        except InvalidInput as error:
            collected.problems.add("splits whose masks mix two encodings", str(error))


def _count(dataset: Dataset, split: Iterable[Sample], inspections: Mapping[_Files, Inspection]) -> SplitCounts:
    samples = list(split)
    names = dataset.classes.names
    showing = Counter(label for sample in samples for label in set(sample.labels or ()))
    masks = [pixels for sample in samples if (pixels := inspections[_files(sample)].pixels) is not None]
    shares = None
    if masks:
        sums = [sum(column) for column in zip(*masks, strict=True)]
        shares = {
            name: count / max(1, sum(sums)) for name, count in zip((*names, ignored_name(names)), sums, strict=True)
        }
    return SplitCounts(
        images=len(samples),
        labelled=sum(sample.labels is not None for sample in samples),
        masked=sum(sample.mask is not None for sample in samples),
        class_images={name: showing[index] for index, name in enumerate(names[1:], start=1)},
        class_pixels=shares,
    )
