"""The integrity check of a dataset: counts, class balance, and everything that is wrong or worth knowing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import combinations, islice
from pathlib import Path
from typing import Any

from wsss.data.checks.ground_truth import check_truth
from wsss.data.checks.inspection import Inspection, inspect_sample
from wsss.data.dataset import Dataset
from wsss.data.manifest import ContentHashes
from wsss.data.readers.layout import Log
from wsss.data.readers.registry import parse_config
from wsss.data.sample import Sample
from wsss.errors import InvalidInput, listing
from wsss.io.rasters.label_masks import ignored_name
from wsss.io.rasters.mask_files import UNUSED
from wsss.validation import KeyPath

UNOPENED = "datasets that can't be opened"
"""Kind of the single problem of a dataset whose files aren't those of its layout."""

MAX_LISTED = 100
"""Longer lists of examples are cut in JSON; their counts stay."""


@dataclass(frozen=True)
class Finding:
    """One kind of thing that was found.

    Args:
        kind: what, in words ("images that can't be read").
        count: how often.
        examples: messages that name files or ids, at most `MAX_LISTED`.
    """

    kind: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class SplitCounts:
    """What a split holds: numbers of images, of those with labels and with masks, and per class.

    Args:
        images, labelled, masked: numbers of images.
        class_images: class name → number of images that have its label.
        class_pixels: name (background, classes, and 255 as `wsss.io.rasters.label_masks.ignored_name` calls it)
            → share of all mask pixels, or ``None`` without masks.
    """

    images: int
    labelled: int
    masked: int
    class_images: dict[str, int]
    class_pixels: dict[str, float] | None


@dataclass(frozen=True)
class Report:
    """The result of `check_dataset`; ``sizes`` is smallest and largest (height, width) by area."""

    name: str
    root: str
    classes: tuple[str, ...]
    splits: dict[str, SplitCounts]
    sizes: tuple[tuple[int, int], tuple[int, int]] | None
    problems: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {
            "name": self.name,
            "root": self.root,
            "ok": not self.problems,
            "classes": list(self.classes),
            "splits": {name: vars(counts) for name, counts in self.splits.items()},
            "sizes": self.sizes and {"smallest": list(self.sizes[0]), "largest": list(self.sizes[1])},
            "problems": [{**vars(finding), "examples": list(finding.examples)} for finding in self.problems],
            "notes": [{**vars(finding), "examples": list(finding.examples)} for finding in self.notes],
        }


@dataclass
class Collector:
    """Gathers messages by kind, in order of their first appearance."""

    messages: dict[str, dict[str, None]] = field(default_factory=dict)

    def add(self, kind: str, *messages: str) -> None:
        """Note messages of one kind."""
        if messages:  # an image that several masks belong to is inspected several times
            self.messages.setdefault(kind, {}).update(dict.fromkeys(messages))

    def findings(self) -> tuple[Finding, ...]:
        """Return what was noted."""
        return tuple(
            Finding(kind, len(found), tuple(islice(found, MAX_LISTED))) for kind, found in self.messages.items()
        )


def check_dataset(
    dataset: Dataset,
    *,
    workers: int = 4,
    advance: Callable[[int], None] = lambda steps: None,
    inspected: Mapping[str, Inspection] | None = None,
) -> Report:
    """Read every image with every mask of it once.

    Args:
        dataset: what to check.
        workers: number of threads (decoding leaves Python's lock).
        advance: called with the number of pairs done, to show progress.
        inspected: what was found in the files of images (by id) that were read before and needn't be again.

    Returns:
        The report; its ``problems`` make a dataset unfit, its ``notes`` don't.
    """
    samples = _distinct(dataset)
    inspections: dict[_Files, Inspection] = {}
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        known = inspected or {}
        results = pool.map(lambda s: known.get(s.id) or inspect_sample(s, dataset.classes), samples.values())
        for files, found in zip(samples, results, strict=True):
            inspections[files] = found
            advance(1)
    problems, notes = Collector(), Collector()
    for found in inspections.values():
        for kind, message in found.problems:
            problems.add(kind, message)
        for kind, message in found.notes:
            notes.add(kind, message)
    _check_mask_files(dataset, problems, notes)
    _check_splits(dataset, problems, notes)
    _check_copies(dataset, problems, notes)
    splits = {name: _count(dataset, split, inspections) for name, split in dataset.splits.items()}
    _check_pixels(dataset, splits, problems, notes)
    _check_classes(dataset, splits, notes)
    sizes = sorted((found.size for found in inspections.values() if found.size), key=lambda size: size[0] * size[1])
    return Report(
        name=dataset.name,
        root=str(dataset.root),
        classes=dataset.classes.foreground,
        splits=splits,
        sizes=(sizes[0], sizes[-1]) if sizes else None,
        problems=problems.findings(),
        notes=notes.findings(),
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
    """Open the dataset that ``data:`` describes and check it; a dataset that can't be opened is a problem of its own.

    Args:
        config: layout and its keys; see `wsss.data.readers.registry.parse_config`.
        work: a folder that we may write to.
        log: prints one line for the user.
        start: given the number of pairs of image and mask, returns what is called with the number of those done.
        locate: key path relative to ``config`` → ``"file.yaml:12"`` or ``""``, for messages.
        workers: number of threads.

    Raises:
        InvalidInput: the config is wrong, or no layout is recognised.
    """
    layout, checked = parse_config(config, locate=locate)
    try:
        dataset = layout.read(checked, work=work, log=log)
    except InvalidInput as error:
        root = str(config.get("root", ""))
        problem = Finding(UNOPENED, 1, (str(error),))
        return Report(name=Path(root).name, root=root, classes=(), splits={}, sizes=None, problems=(problem,))
    return check_dataset(dataset, workers=workers, advance=start(len(_distinct(dataset))))


_Files = tuple[str, Path | None]
"""Id and mask: an image may have another mask in another split (TopoMortar's label kinds)."""


def _files(sample: Sample) -> _Files:
    return sample.id, sample.mask


def _distinct(dataset: Dataset) -> dict[_Files, Sample]:
    return {_files(sample): sample for split in dataset.splits.values() for sample in split}


def is_leak(first: str, second: str) -> bool:
    """Whether an image in both splits spoils a score: one is trained on, the other is evaluated on.

    ``trainval`` and the like hold both by their nature.
    """

    def held_out(name: str) -> bool:
        return name.startswith(("val", "test"))

    def trained_on(name: str) -> bool:
        return name.startswith("train") and "val" not in name

    return (trained_on(first) and held_out(second)) or (trained_on(second) and held_out(first))


def _check_mask_files(dataset: Dataset, problems: Collector, notes: Collector) -> None:
    """Report what the folders of masks hold; where no mask belongs to any image, their files are a problem."""
    masked = any(sample.mask is not None for split in dataset.splits.values() for sample in split)
    for kind, message in dataset.remarks:
        (notes if masked or kind not in UNUSED else problems).add(kind, message)


def _check_pixels(dataset: Dataset, splits: dict[str, SplitCounts], problems: Collector, notes: Collector) -> None:
    """Look for splits whose masks show no class: nothing can be scored on them."""
    ignored = ignored_name(dataset.classes.names)
    for name, counts in splits.items():
        pixels = counts.class_pixels
        if pixels is None or any(pixels[one] for one in dataset.classes.foreground):
            continue
        if not pixels[ignored]:
            notes.add("splits whose masks show no class", f"{name}: all pixels are background")
            continue
        try:
            check_truth([one for one in dataset.splits[name] if one.mask], dataset.classes, where=f"split {name!r}")
        except InvalidInput as error:
            problems.add("splits whose masks show no class", str(error))


def _check_splits(dataset: Dataset, problems: Collector, notes: Collector) -> None:
    for name, split in dataset.splits.items():
        unlabelled = [sample.id for sample in split if sample.labels is None]
        if len(unlabelled) == len(split):
            notes.add("splits without image-level labels", name)
        else:
            notes.add("images without image-level labels", *(f"{name}: {image}" for image in unlabelled))
        without_mask = [sample.id for sample in split if sample.mask is None]
        if 0 < len(without_mask) < len(split):
            notes.add("images without a mask, in splits that have masks", *(f"{name}: {i}" for i in without_mask))
        notes.add(
            "images of no class",
            *(f"{name}: {sample.id}" for sample in split if sample.labels == () and not sample.unknown),
        )
        unknown = [f"{name}: {sample.id}" for sample in split if sample.unknown]
        notes.add("images with classes that may or may not be in them", *unknown)
        if len(split) == 1:
            notes.add("splits of a single image", name)
    for (first, one), (second, other) in combinations(dataset.splits.items(), 2):
        if first.partition("-")[0] == second.partition("-")[0]:  # train-large-noisy and train-small-noisy, say
            continue
        shared = sorted({sample.id for sample in one} & {sample.id for sample in other})
        collector = problems if is_leak(first, second) else notes
        collector.add(f"images in both {first} and {second}", *shared)


def _check_copies(dataset: Dataset, problems: Collector, notes: Collector) -> None:
    """Look for equal files under different ids: within a split they count twice, between splits they leak."""
    hashes = ContentHashes(dataset.cache)
    places: dict[str, dict[str, set[str]]] = {}
    for name, split in dataset.splits.items():
        for sample in split:
            try:
                places.setdefault(hashes.of(sample.image), {}).setdefault(sample.id, set()).add(name)
            except InvalidInput:  # inspection has reported the file already
                continue
    hashes.save()
    for copies in places.values():
        for (first, first_splits), (second, second_splits) in combinations(copies.items(), 2):
            leak = any(is_leak(one, other) for one in first_splits for other in second_splits)
            (problems if leak else notes).add(
                "equal images in train and held-out splits" if leak else "equal images under two ids",
                f"{first} and {second}",
            )


def _check_classes(dataset: Dataset, splits: dict[str, SplitCounts], notes: Collector) -> None:
    labelled = {name: counts for name, counts in splits.items() if counts.labelled}
    for name, counts in labelled.items():
        absent = [kind for kind, images in counts.class_images.items() if not images]
        if absent:
            notes.add("splits without an image of some class", f"{name}: {listing(absent, limit=100)}")
    if len(dataset.classes) == 2:
        for name, counts in labelled.items():
            if counts.class_images[dataset.classes.names[1]] == counts.labelled:
                notes.add(
                    "splits in which every labelled image shows the only class",
                    f"{name}: a classifier has nothing to tell apart; add images without {dataset.classes.names[1]!r}",
                )


def _count(dataset: Dataset, split: Iterable[Sample], inspections: dict[_Files, Inspection]) -> SplitCounts:
    samples = list(split)
    names = dataset.classes.names
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
        class_images={
            name: sum(index in (sample.labels or ()) for sample in samples)
            for index, name in enumerate(names[1:], start=1)
        },
        class_pixels=shares,
    )
