"""TopoMortar's tables: computed from a results folder, and exported as CSV and JSON rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wsss.benchmark.paired_against import RESAMPLES, Arm, Contrast, arms_of, contrasts, find_arm
from wsss.benchmark.permutation import PERMUTATIONS
from wsss.benchmark.ranking import SHOWN, Ranking, rank_losses
from wsss.benchmark.read_results import read_benchmark
from wsss.benchmark.score_set import FRAMEWORKS, ID_GROUP, REFERENCE, SIZES, Benchmark, Case
from wsss.benchmark.table_cells import DISTRIBUTIONS, SIGNIFICANT, Distribution, Row, benchmark_rows, rounded
from wsss.io.text.tables import csv_text
from wsss.viz.drawing.formatting import NOT_DEFINED, duration

KEYS = ("framework", "labels", "size", "group", "loss", "metric", "mean", "std", "p", "bold")
CONTRAST_KEYS = ("group", "metric", "images", "seeds", "mean", "difference", "low", "high", "p", "verdict")
CONTRAST_COLUMNS = (*Case._fields, "loss", *CONTRAST_KEYS)
TITLES: Mapping[Distribution, str] = {"ID": "in-distribution", "OOD": "out of distribution"}
LABELS = {"accurate": "accurate labels", "noisy": "noisy labels", "pseudo": "pseudo-labels", "weak": "weak labels"}


@dataclass(frozen=True)
class Cost:
    """Training cost of one loss: mean seconds, highest peak memory in bytes, devices, and number of runs."""

    seconds: float
    memory_bytes: int | None
    devices: tuple[str, ...]
    runs: int


@dataclass(frozen=True)
class Tables:
    """All computed tables of a benchmark.

    Args:
        costs: loss → training cost, where recorded.
        permutations, seed: number and random seed of the sign flips in the permutation tests.
        reference: the reference of the comparison across cases, if any.
        contrasts: that comparison.
    """

    benchmark: Benchmark
    rows: tuple[Row, ...]
    ranking: Ranking
    costs: Mapping[str, Cost]
    permutations: int
    seed: int
    reference: Arm | None = None
    contrasts: tuple[Contrast, ...] = ()


def make_tables(
    root: Path, groups: Path, *, permutations: int = PERMUTATIONS, seed: int = 0, reference: str | None = None
) -> Tables:
    """Read the results below ``root`` and compute their tables.

    Args:
        root: folder with ``framework/labels/size/loss/seed.csv``.
        groups: file with the group of each image.
        permutations, seed: number and random seed of the sign flips in the permutation tests.
        reference: ``framework/labels/size/loss``, a reference for all results across cases.

    Raises:
        InvalidInput: see `wsss.benchmark.read_results.read_benchmark`; or ``reference`` is not among the results.
    """
    benchmark = read_benchmark(root, groups)
    arm = None if reference is None else find_arm(benchmark, reference)
    rows = tuple(benchmark_rows(benchmark, permutations=permutations, seed=seed))
    compared = () if arm is None else tuple(contrasts(benchmark, arm, permutations=permutations, seed=seed))
    if arm is not None:
        notes = _notes_on_contrasts(benchmark, arm, compared)
        benchmark = replace(benchmark, notes=(*benchmark.notes, *notes))
    return Tables(benchmark, rows, rank_losses(rows), _costs(benchmark), permutations, seed, arm, compared)


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the cells as JSON objects, unrounded."""
    return [{key: getattr(row, key) for key in KEYS} for row in rows]


def contrasts_as_json(rows: Sequence[Contrast]) -> list[dict[str, Any]]:
    """Return the comparison across cases as JSON objects, unrounded; ``seeds`` is seed → mean."""
    return [
        {
            **row.arm.case._asdict(),
            "loss": row.arm.loss,
            **{key: getattr(row, key) for key in CONTRAST_KEYS if key != "seeds"},
            "seeds": {str(seed): mean for seed, mean in row.seeds.items()},
        }
        for row in rows
    ]


def as_csv(rows: Sequence[Mapping[str, Any]], keys: Sequence[str] = KEYS) -> str:
    """Return the objects of `as_json` or `contrasts_as_json` as CSV.

    Undefined values are empty, booleans ``true`` or ``false``, nested objects ``1: 3.5; 2: 4``.
    """
    return csv_text([keys, *([_plain(row[key]) for key in keys] for row in rows)])


def title_of(case: Case) -> str:
    """Return the title of a case: ``supervised · accurate labels · large training set``."""
    return f"{case.framework} · {_label_name(case.labels)} · {case.size} training set"


def name_of(arm: Arm) -> str:
    """Return the name of an arm: ``clDice · weak labels``, with framework and size unless they are the default."""
    framework, labels, size = arm.case
    parts = [arm.loss, _label_name(labels)]
    parts += [framework] if framework != FRAMEWORKS[0] else []
    parts += [f"{size} training set"] if size != SIZES[0] else []
    return " · ".join(parts)


def cell_text(row: Row | None) -> str:
    """Return the text of a cell: ``3.31 ± 6.6``, rounded to two decimals without trailing zeros, as in the paper."""
    if row is None:
        return NOT_DEFINED
    return f"{rounded(row.mean)} ± {NOT_DEFINED if row.std is None else rounded(row.std)}"


def explain(tables: Tables) -> str:
    """Explain the numbers of the tables."""
    ood = len([group for group in tables.benchmark.groups if group != ID_GROUP])
    return (
        "Mean ± standard deviation over images and seeds; out of distribution, both are averaged over the "
        f"{ood} groups. Bold: better than {REFERENCE} with p < {SIGNIFICANT} in a paired permutation test over images "
        f"and seeds (one-sided, {tables.permutations:,} permutations, seed {tables.seed})."
    )


def explain_contrasts(reference: Arm, seed: int) -> str:
    """Explain the numbers of the comparison across cases."""
    return (
        f"Mean over images, seeds averaged per image; below it, the difference from {name_of(reference)} with its 95 % "
        f"bootstrap interval (images resampled within their groups, {RESAMPLES:,} times, seed {seed}). p: two-sided "
        f"paired permutation test over images. Bold: better with p < {SIGNIFICANT}; ▼: worse with p < {SIGNIFICANT}. "
        "Intervals and p-values describe the variation over images; for the variation over training runs, compare the "
        "means of the seeds (in the JSON and CSV rows)."
    )


def explain_ranking(ranking: Ranking) -> str:
    """Explain the numbers of the ranking."""
    shown = ", ".join(metric.name for metric in SHOWN)
    text = f"Mean rank over all tables and the metrics {shown}, separately in and out of distribution. "
    text += f"Better, worse: number of cells significantly better or worse than {REFERENCE}."
    if ranking.incomplete:
        text += f" Not ranked because of missing results: {', '.join(ranking.incomplete)}."
    return text


def ranking_table(tables: Tables) -> tuple[list[str], list[list[str]]]:
    """Return heading and rows of the ranking, with training time and memory where recorded."""
    present = [distribution for distribution in DISTRIBUTIONS if tables.ranking.blocks[distribution]]
    head = [
        "Loss",
        *(f"{distribution} {what}" for distribution in present for what in ("mean rank", "better", "worse")),
    ]
    head += ["Training time", "Peak memory", "Runs"] if tables.costs else []
    rows = []
    for loss, standings in tables.ranking.standings.items():
        row = [loss]
        for distribution in present:
            standing = standings[distribution]
            row.append(NOT_DEFINED if standing.rank is None else f"{standing.rank:.2f}")
            row += [f"{count} of {standing.cells}" for count in (standing.better, standing.worse)]
        if tables.costs:
            row += _cost_cells(tables.costs.get(loss))
        rows.append(row)
    return head, rows


def _notes_on_contrasts(benchmark: Benchmark, reference: Arm, rows: Sequence[Contrast]) -> list[str]:
    """Return notes on results that share no image with the reference, or only some."""
    notes = []
    for distribution in DISTRIBUTIONS:
        images = {row.arm: row.images for row in rows if row.group == distribution}
        if reference not in images:
            continue
        for arm in arms_of(benchmark):
            if arm not in images:
                notes.append(f"compared with {reference}: {arm}: no {distribution} image in common")
            elif images[arm] < images[reference]:
                common = f"{images[arm]} of {images[reference]} {distribution} images in common"
                notes.append(f"compared with {reference}: {arm}: mean over {common}")
    return notes


def _costs(benchmark: Benchmark) -> dict[str, Cost]:
    costs = {}
    for loss in benchmark.losses:
        runs = [run for losses in benchmark.cases.values() if loss in losses for run in losses[loss].resources]
        if runs:
            memory = [run.memory_bytes for run in runs if run.memory_bytes is not None]
            costs[loss] = Cost(
                sum(run.seconds for run in runs) / len(runs),
                max(memory, default=None),
                tuple(sorted({run.device for run in runs})),
                len(runs),
            )
    return costs


def _cost_cells(cost: Cost | None) -> list[str]:
    if cost is None:
        return [NOT_DEFINED] * 3
    memory = NOT_DEFINED if cost.memory_bytes is None else f"{cost.memory_bytes / 2**30:.2f} GiB"
    return [duration(cost.seconds), memory, f"{cost.runs} ({', '.join(cost.devices)})"]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {entry}" for key, entry in value.items())
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value


def _label_name(labels: str) -> str:
    return LABELS.get(labels, f"{labels} labels")
