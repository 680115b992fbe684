"""Small results folders in TopoMortar's layout."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from wsss.benchmark.score_set import Benchmark

HEAD = (
    *("ID", "Betti0ErrorLocal_mortar", "Betti0Error_mortar", "Betti1ErrorLocal_mortar", "Betti1Error_mortar"),
    *("Dice_mortar", "HD95_mortar", "clDice_mortar"),
)
GROUPS = ("indistr", "angles", "colors", "graffiti", "objects", "occlusion", "shadows")
Table = list[dict[str, object]]


def write_groups_file(path: Path, images: int = 4, groups: Sequence[str] = GROUPS) -> dict[int, str]:
    """Write a groups file with ``images`` images per group, numbered from 1; return image → group."""
    group_of = {1 + i: groups[i // images] for i in range(images * len(groups))}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("ID,group\n" + "".join(f"{image:03d},{group}\n" for image, group in group_of.items()))
    return group_of


def draw_table(images: Sequence[int], level: float, seed: int) -> Table:
    """Return random scores; a higher ``level`` is worse in every column."""
    generator = np.random.default_rng([seed, int(1000 * level)])
    rows: Table = []
    for image in images:
        errors = generator.poisson(5 * level, 2)
        rows.append(
            {
                "ID": f"{image:03d}",
                "Betti0ErrorLocal_mortar": errors[0] / 16,
                "Betti0Error_mortar": int(errors[0]),
                "Betti1ErrorLocal_mortar": errors[1] / 16,
                "Betti1Error_mortar": int(errors[1]),
                "Dice_mortar": float(np.clip(0.95 - 0.1 * level + generator.normal(0, 0.02), 0, 1)),
                "HD95_mortar": float(1 + level + generator.exponential(0.2)),
                "clDice_mortar": float(np.clip(0.97 - 0.05 * level + generator.normal(0, 0.01), 0, 1)),
            }
        )
    return rows


def write_table(path: Path, rows: Table, head: Sequence[str] = HEAD) -> None:
    """Write one result file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, head, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def write_results(
    root: Path,
    levels: Mapping[str, float],
    *,
    case: str = "supervised/accurate/large",
    seeds: Sequence[int] = (1, 2, 3),
    images: int = 4,
) -> Path:
    """Write the groups and the results of several losses; return the results folder."""
    group_of = write_groups_file(root / "dataset" / "dataset_types.txt", images)
    for loss, level in levels.items():
        for seed in seeds:
            write_table(root / "results" / case / loss / f"{seed}.csv", draw_table(list(group_of), level, seed))
    return root / "results"


def read_all(results: Path) -> Benchmark:
    """Read a results folder with its groups."""
    from wsss.benchmark.read_results import read_benchmark
    from wsss.benchmark.result_files import find_groups

    return read_benchmark(results, find_groups(results))
