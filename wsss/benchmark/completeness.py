"""Notes on incomplete results: ignored files and columns, missing seeds and images, undefined scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from wsss.benchmark.result_files import NO_DISTANCE, Scores
from wsss.benchmark.result_folder import ResultFile
from wsss.benchmark.score_set import LOSSES, METRICS, REFERENCE, Case, LossScores, ood_groups
from wsss.errors import counted, listing

NamedScores = tuple[ResultFile, Scores]
HD95 = next(metric.column for metric in METRICS if metric.name == "HD95")


def notes_on_files(
    files: Mapping[Case, Mapping[str, Sequence[NamedScores]]],
    group_of: Mapping[str, str],
    groups_file: Path,
    *,
    replaced_distance: float,
) -> Iterator[str]:
    """Yield notes on ignored columns and images, unknown losses, and empty predictions.

    Args:
        files: the scores, by case and loss.
        group_of: image → group.
        groups_file: where the groups were read from.
        replaced_distance: HD95 that replaces that of an empty prediction.
    """
    tables = [scores for losses in files.values() for several in losses.values() for _, scores in several]
    unread = dict.fromkeys(name for scores in tables for name in scores.unread)
    if unread:
        yield f"ignored columns: {listing(unread)}"
    ungrouped = dict.fromkeys(image for scores in tables for image in scores.images if image not in group_of)
    if ungrouped:
        count = counted(len(ungrouped), "ignored image")
        yield f"{count} without a group in {groups_file.name}: {listing(ungrouped)}"
    unknown = sorted({loss for losses in files.values() for loss in losses if loss not in LOSSES})
    if unknown:
        yield f"losses without a short name, shown by folder name: {listing(unknown)}"
    empty = sum(int((scores.columns[HD95] == NO_DISTANCE).sum()) for scores in tables if HD95 in scores.columns)
    if empty:
        count = counted(empty, "empty prediction")
        yield f"{count} (HD95 {NO_DISTANCE:.0f}): HD95 set to √2·511 = {replaced_distance:.2f} pixels"


def notes_on_case(case: Case, losses: Mapping[str, LossScores]) -> Iterator[str]:
    """Yield notes on differences between the losses of one table in seeds, images, groups and metrics."""
    notes = (*_on_seeds(losses), *_on_images(losses), *_on_metrics(losses), *_on_pairs(losses))
    yield from (f"{case}: {note}" for note in notes)


def _on_seeds(losses: Mapping[str, LossScores]) -> Iterator[str]:
    if REFERENCE not in losses:
        yield f"no {REFERENCE}, the reference of the other losses: no p-values, no bold cells"
    seeds = {loss: len(set(scores.seeds)) for loss, scores in losses.items()}
    largest = max(seeds.values())
    fewer = [f"{loss} {count}" for loss, count in seeds.items() if count < largest]
    if fewer:
        yield f"fewer than {largest} seeds: {', '.join(fewer)}"


def _on_images(losses: Mapping[str, LossScores]) -> Iterator[str]:
    images = {image for scores in losses.values() for image in scores.images}
    groups = ood_groups(group for scores in losses.values() for group in scores.groups)
    for loss, scores in losses.items():
        missing = len(set(scores.seeds)) * len(images) - len(scores.images)
        if missing:
            yield f"{loss}: {counted(missing, 'score')} of single images missing"
        lacking = sorted(set(groups) - set(scores.groups))
        if lacking and ood_groups(scores.groups):
            yield f"{loss}: no images of {listing(lacking)}: OOD means are over fewer groups"


def _on_metrics(losses: Mapping[str, LossScores]) -> Iterator[str]:
    for metric in METRICS:
        present = {loss: scores.values[metric.name] for loss, scores in losses.items() if metric.name in scores.values}
        missing = [loss for loss in losses if loss not in present]
        if present and missing:
            yield f"no {metric.name} for {listing(missing)}"
        gaps = [f"{loss} {count}" for loss, values in present.items() if (count := int(np.isnan(values).sum()))]
        if gaps:
            yield f"{metric.name} undefined in some rows, which are ignored: {listing(gaps, limit=12)}"


def _on_pairs(losses: Mapping[str, LossScores]) -> Iterator[str]:
    reference = losses.get(REFERENCE)
    if reference is None:
        return
    pairs = set(reference.pairs)
    unpaired = [loss for loss, scores in losses.items() if not pairs & set(scores.pairs)]
    if unpaired:
        yield f"no image and seed in common with {REFERENCE}, so no p-value: {listing(unpaired)}"
