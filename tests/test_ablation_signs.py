"""The ablation of the samplers on small synthetic images, with one seed.

At the label-free threshold and after CRF, expansion beats training as long without it, the same sampler without the
reversed gradient, and offsets that look elsewhere at random. docs/esol.md has the results of images and networks of the
usual size.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

LABEL_FREE, CRF, ORACLE = "seed, label-free threshold", "after CRF", "ORACLE seed, best threshold"
ROWS = ("base", "control", "no-offsets", "random", "no-reversal", "expansion", "expansion-shrinkage")
SMALL = {
    "matrix.seed": "[0]",
    "matrix.variant": f"[{','.join(ROWS)}]",
    "data": "{layout: shapes, size: 64, train: 80, val: 32}",
    **{f"{stage}.augmentation.size": "64" for stage in ("classify", "expand", "shrink")},
    **{f"{stage}.val": "null" for stage in ("classify", "expand", "shrink")},
    "cam.scales": "[1]",
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    """Run the ablation; return column → row → mIoU."""
    run_dir = tmp_path_factory.mktemp("ablation") / "run"
    call = [sys.executable, "-m", "wsss.cli.main", "run", "esol_ablation_shapes", "--run-dir", str(run_dir)]
    call += [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    call += ["--until", "compare-seeds", "--workers", "1"]
    # Two threads are slower than one on images this small.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(call, capture_output=True, text=True, timeout=1800, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    table = json.loads((run_dir / "compare-seeds" / "compare.json").read_text())
    return {
        column["title"]: {row: cell["mean"] for row, cell in column["cells"].items()} for column in table["columns"]
    }


@pytest.mark.parametrize("column", [LABEL_FREE, ORACLE, CRF])
@pytest.mark.parametrize("other", ["control", "base", "no-offsets"])
def test_expansion_gains_over_the_classifier_and_over_training_as_long(
    columns: dict[str, dict[str, float]], column: str, other: str
) -> None:
    assert columns[column]["expansion"] > columns[column][other] + 0.01


@pytest.mark.parametrize("column", [LABEL_FREE, CRF])
@pytest.mark.parametrize("other", ["random", "no-reversal"])
def test_the_gain_is_due_to_offsets_trained_against_the_loss(
    columns: dict[str, dict[str, float]], column: str, other: str
) -> None:
    assert columns[column]["expansion"] > columns[column][other] + 0.02


def test_shrinkage_takes_little_from_the_maps(columns: dict[str, dict[str, float]]) -> None:
    both = columns[ORACLE]["expansion-shrinkage"]
    assert both > columns[ORACLE]["expansion"] - 0.02 and both > columns[ORACLE]["control"] + 0.01
