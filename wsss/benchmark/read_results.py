"""Reading a results folder as a benchmark, with the conventions of the authors' own tables.

Results are joined with the groups of the images by id; images without a group are ignored. The HD95 of an empty
prediction, 9999999 in the authors' files, counts as √2·511, the diagonal of their images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from wsss.benchmark.completeness import NamedScores, notes_on_case, notes_on_files
from wsss.benchmark.result_files import NO_DISTANCE, read_groups, read_resources, read_scores
from wsss.benchmark.result_folder import ResultFile, find_results
from wsss.benchmark.score_set import METRICS, Benchmark, Case, LossScores, group_order, loss_order, short_name
from wsss.errors import InvalidInput, listing

DIAGONAL = math.sqrt(2) * 511


def read_benchmark(root: Path, groups_file: Path) -> Benchmark:
    """Read all results below ``root`` (``framework/labels/size/loss/seed.csv``).

    Args:
        groups_file: the group of each image, see `wsss.benchmark.result_files.read_groups`.

    Raises:
        InvalidInput: no results, a broken file, two folders of one loss, or no image in any group.
    """
    results, notes = find_results(root)
    group_of = read_groups(groups_file)
    files = _read_files(results)
    notes += notes_on_files(files, group_of, groups_file, replaced_distance=DIAGONAL)
    cases: dict[Case, dict[str, LossScores]] = {}
    for case in sorted(files, key=lambda case: case.sort_key):
        scores = {loss: _join(files[case][loss], group_of) for loss in sorted(files[case], key=loss_order)}
        notes += [f"{case}: {loss}: no image has a group" for loss, scored in scores.items() if not scored.images]
        scores = {loss: scored for loss, scored in scores.items() if scored.images}
        if scores:
            cases[case] = scores
            notes += notes_on_case(case, scores)
    groups = {group for losses in cases.values() for scored in losses.values() for group in scored.groups}
    if not groups:
        raise InvalidInput(
            f"none of the images with results in {root} has a group",
            subject=groups_file,
            hint="Pass the groups of these images: --groups FILE.",
        )
    missing = sorted(set(group_of.values()) - groups)
    if missing:
        notes.append(f"no results for the groups {listing(missing)}")
    return Benchmark(cases, tuple(sorted(groups, key=group_order)), tuple(notes))


def _read_files(results: Sequence[ResultFile]) -> dict[Case, dict[str, list[NamedScores]]]:
    """Read the files, by case and short name of the loss."""
    files: dict[Case, dict[str, list[NamedScores]]] = {}
    folders: dict[tuple[Case, str], ResultFile] = {}
    for result in results:
        case, loss = Case(result.framework, result.labels, result.size), short_name(result.loss)
        first = folders.setdefault((case, loss), result)
        if first.loss != result.loss:
            raise InvalidInput(
                f"second folder for loss {loss}; the first is {first.path.parent}",
                subject=result.path.parent,
                hint="Move all seeds of a loss into one folder.",
            )
        scores = read_scores(result.path, [metric.column for metric in METRICS])
        files.setdefault(case, {}).setdefault(loss, []).append((result, scores))
    return files


def _join(files: Sequence[NamedScores], group_of: Mapping[str, str]) -> LossScores:
    """Concatenate the seeds of a loss, sorted by image, then seed; without the images that have no group."""
    rows = sorted(
        (_image_order(image), result.seed, number, index)
        for number, (result, scores) in enumerate(files)
        for index, image in enumerate(scores.images)
        if image in group_of
    )
    images = tuple(files[number][1].images[index] for _, _, number, index in rows)
    values = {}
    for metric in METRICS:
        columns = [scores.columns.get(metric.column) for _, scores in files]
        column = np.array(
            [np.nan if (of_file := columns[number]) is None else of_file[index] for _, _, number, index in rows]
        )
        if metric.name == "HD95":
            column = np.where(column == NO_DISTANCE, DIAGONAL, column)
        if np.isfinite(column).any():
            values[metric.name] = column
    resources = (read_resources(result.path) for result, _ in files)
    return LossScores(
        images,
        tuple(group_of[image] for image in images),
        tuple(seed for _, seed, _, _ in rows),
        values,
        tuple(costs for costs in resources if costs is not None),
    )


def _image_order(image: str) -> tuple[int, int, str]:
    """Sort numbers by value, before names."""
    return (0, int(image), "") if image.lstrip("+-").isdecimal() else (1, 0, image)
