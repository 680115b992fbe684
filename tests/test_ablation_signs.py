"""The ablation of the samplers on synthetic images, cut down to the rows that say why expansion works.

What photographs show (docs/esol.md) shows here, too, in every seed: expansion beats training as long without it, the
reversed gradient is what does it, and offsets that look elsewhere at random don't. Measured with three seeds, the whole
ablation: +0.037 over the control at the label-free threshold and +0.092 after CRF; without the reversal −0.048 and
−0.088, with random offsets −0.015 and +0.014.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
import yaml

from wsss.pipeline import resources

ROWS = ("base", "control", "random", "no-reversal", "expansion", "expansion-shrinkage")
LABEL_FREE, CRF, ORACLE = "seed, label-free threshold", "after CRF", "ORACLE seed, best threshold"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Run the ablation; return column → row → cell (`wsss.metrics.comparison.Cell` as JSON)."""
    folder = tmp_path_factory.mktemp("ablation")
    shipped = resources.shipped("pipelines")
    whole = yaml.safe_load((shipped / "esol_ablation.yaml").read_text(encoding="utf-8"))
    whole["matrix"]["variant"] = {row: whole["matrix"]["variant"][row] for row in ROWS}
    (folder / "esol_ablation.yaml").write_text(yaml.safe_dump(whole, sort_keys=False), encoding="utf-8")
    on_shapes = (shipped / "esol_ablation_shapes.yaml").read_text(encoding="utf-8")
    (folder / "shapes.yaml").write_text(
        on_shapes.replace("extends: esol_ablation\n", "extends: ./esol_ablation.yaml\n"), encoding="utf-8"
    )
    call = [sys.executable, "-m", "wsss.cli.main", "run", "shapes.yaml", "--until", "compare-seeds", "--workers", "1"]
    # Two threads are slower than one on images this small.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*call, "--run-dir", "run"], cwd=folder, capture_output=True, text=True, timeout=1800, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    table = json.loads((folder / "run" / "compare-seeds" / "compare.json").read_text())
    return {column["title"]: column["cells"] for column in table["columns"]}


def margins(cells: dict[str, Any], row: str, other: str) -> list[float]:
    """Return by how much a row is above another one, seed by seed."""
    return [value - cells[other]["seeds"][seed] for seed, value in cells[row]["seeds"].items()]


@pytest.mark.parametrize("column", [LABEL_FREE, ORACLE, CRF])
@pytest.mark.parametrize("other", ["control", "base"])
def test_expansion_gains_over_the_classifier_and_over_training_as_long(
    columns: dict[str, dict[str, Any]], column: str, other: str
) -> None:
    found = margins(columns[column], "expansion", other)
    assert len(found) == 2 and min(found) > 0.005


@pytest.mark.parametrize("other", ["random", "no-reversal"])
@pytest.mark.parametrize("column", [LABEL_FREE, CRF])
def test_learning_where_to_look_against_the_loss_is_what_gains(
    columns: dict[str, dict[str, Any]], column: str, other: str
) -> None:
    assert min(margins(columns[column], "expansion", other)) > 0.02


def test_shrinkage_takes_nothing_from_the_maps(columns: dict[str, dict[str, Any]]) -> None:
    assert min(margins(columns[ORACLE], "expansion-shrinkage", "expansion")) > -0.003
