"""Checks of whole splits: leaks, duplicates, missing labels and masks, and classes without images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from wsss.data.checks.check_report import Collected, SplitCounts
from wsss.data.dataset import Dataset
from wsss.data.manifest import ContentHashes
from wsss.data.masks.ground_truth import check_truth
from wsss.errors import InvalidInput, listing
from wsss.io.rasters.label_masks import ignored_name
from wsss.io.rasters.mask_files import UNUSED

NO_CLASS_SHOWN = "splits whose masks show no class"


def is_leak(first: str, second: str) -> bool:
    """Return whether an image in both splits invalidates a score: it is trained on and evaluated on.

    Splits such as ``trainval`` are both by design.
    """

    def held_out(name: str) -> bool:
        return name.startswith(("val", "test"))

    def trained_on(name: str) -> bool:
        return name.startswith("train") and "val" not in name

    return (trained_on(first) and held_out(second)) or (trained_on(second) and held_out(first))


def check_mask_files(dataset: Dataset, collected: Collected) -> None:
    """Report unused mask files: problems if no mask matches any image, otherwise notes."""
    masked = any(sample.mask is not None for sample in dataset.all_samples())
    for kind, message in dataset.remarks:
        (collected.notes if masked or kind not in UNUSED else collected.problems).add(kind, message)


def check_pixels(dataset: Dataset, splits: Mapping[str, SplitCounts], collected: Collected) -> None:
    """Report splits whose masks show no class; no score can be computed on them."""
    ignored = ignored_name(dataset.classes.names)
    for name, counts in splits.items():
        pixels = counts.class_pixels
        if pixels is None or any(pixels[index] for index in dataset.classes.foreground):
            continue
        if not pixels[ignored]:
            collected.notes.add(NO_CLASS_SHOWN, f"{name}: all pixels are background")
            continue
        try:
            check_truth(
                [sample for sample in dataset.splits[name] if sample.mask], dataset.classes, where=f"split {name!r}"
            )
        except InvalidInput as error:
            collected.problems.add(NO_CLASS_SHOWN, str(error))


def check_splits(dataset: Dataset, collected: Collected) -> None:
    """Report images without labels or masks, and images in several splits."""
    notes = collected.notes
    for name, split in dataset.splits.items():
        unlabelled = [sample.id for sample in split if sample.labels is None]
        if len(unlabelled) == len(split):
            notes.add("splits without image-level labels", name)
        else:
            notes.add("images without image-level labels", *(f"{name}: {image}" for image in unlabelled))
        without_mask = [sample.id for sample in split if sample.mask is None]
        if 0 < len(without_mask) < len(split):
            notes.add("images without a mask, in splits that have masks", *(f"{name}: {i}" for i in without_mask))
        negative = [f"{name}: {sample.id}" for sample in split if sample.labels == () and not sample.unknown]
        notes.add("images without any class", *negative)
        unknown = [f"{name}: {sample.id}" for sample in split if sample.unknown]
        notes.add("images whose labels are unknown for some classes", *unknown)
        if len(split) == 1:
            notes.add("splits with a single image", name)
    for (first, samples), (second, other) in combinations(dataset.splits.items(), 2):
        if first.partition("-")[0] == second.partition("-")[0]:  # train-large-noisy and train-small-noisy
            continue
        shared = sorted({sample.id for sample in samples} & {sample.id for sample in other})
        collector = collected.problems if is_leak(first, second) else notes
        collector.add(f"images in both {first} and {second}", *shared)


def check_copies(dataset: Dataset, collected: Collected) -> None:
    """Report groups of identical files under different ids: duplicates within a split, leaks between splits."""
    labels = {sample.id: sample.labels for sample in dataset.all_samples()}
    for group in groups_of_copies(dataset):
        stated = {image: labels[image] for image in group if labels[image] is not None}
        if len({tuple(sorted(classes or ())) for classes in stated.values()}) > 1:
            members = [f"{image} ({_names(dataset, classes or ())})" for image, classes in stated.items()]
            collected.notes.add("identical image files with different image-level labels", listing(members))
        if _leaks(group):
            members = [f"{image} ({', '.join(splits)})" for image, splits in group.items()]
            collected.problems.add("groups of identical image files in train and held-out splits", listing(members))
        else:
            collected.notes.add("groups of identical image files", listing(group))
        collected.copies.append(tuple(group))


def groups_of_copies(dataset: Dataset) -> list[dict[str, list[str]]]:
    """Return the groups of ids whose images have the same bytes, in order of first appearance.

    Returns:
        per group: image id → splits that contain it. Their total size is at most that of the dataset.
    """
    hashes = ContentHashes(dataset.cache)
    splits_of: dict[str, dict[str, list[str]]] = {}
    for name, split in dataset.splits.items():
        for sample in split:
            try:
                splits_of.setdefault(hashes.of(sample.image), {}).setdefault(sample.id, []).append(name)
            except InvalidInput:  # reported by the inspection
                continue
    hashes.save()
    return [group for group in splits_of.values() if len(group) > 1]


def _names(dataset: Dataset, classes: Sequence[int]) -> str:
    return ", ".join(dataset.classes.names[index] for index in classes) or "no class"


def _leaks(group: Mapping[str, Sequence[str]]) -> bool:
    """Return whether two different ids of a group are in splits that must not share images."""
    ids_in: dict[str, set[str]] = {}
    for image, splits in group.items():
        for name in splits:
            ids_in.setdefault(name, set()).add(image)
    pairs = combinations(ids_in.items(), 2)
    return any(is_leak(first, second) and len(ids | other) > 1 for (first, ids), (second, other) in pairs)


def check_classes(dataset: Dataset, splits: Mapping[str, SplitCounts], collected: Collected) -> None:
    """Report classes without images, and splits in which every image shows the only class."""
    labelled = {name: counts for name, counts in splits.items() if counts.labelled}
    for name, counts in labelled.items():
        absent = [kind for kind, images in counts.class_images.items() if not images]
        if absent:
            collected.notes.add("splits without an image of some class", f"{name}: {listing(absent, limit=100)}")
    if len(dataset.classes) != 2:
        return
    (only,) = dataset.classes.foreground
    for name, counts in labelled.items():
        if counts.class_images[only] == counts.labelled:
            collected.notes.add(
                "splits in which every labelled image shows the only class",
                f"{name}: a classifier cannot learn from them; add images without {only!r}",
            )
