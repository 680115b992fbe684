"""The shipped TopoMortar pipelines, shrunk until they run in seconds: from walls to printed tables."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import warm

SMALL = (
    *("data.size=64", "data.train=4", "data.small=2", "data.val=1", "data.test=1", "matrix.seed=[1]"),
    *("segment.steps=2", "segment.batch_size=2", "segment.augmentation.size=64"),
)


def wsss(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*warm.command(), *map(str, arguments), "--device", "cpu", "--workers", "1"]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
def test_the_quick_pipeline_ends_with_its_tables(tmp_path: Path) -> None:
    done = wsss("run", "topomortar_quick", "--run-dir", tmp_path / "run", *(w for s in SMALL for w in ("--set", s)))
    assert done.returncode == 0, done.stderr
    assert "**In-distribution (ID)**" in done.stdout and "**Out of distribution (OOD)**" in done.stdout
    assert all(f"\n| {loss} | " in done.stdout for loss in ("CEDice", "clDice", "SkelRecall", "BettiMatching"))
    assert "Training time" in done.stdout, "what training cost is known"
    bench = tmp_path / "run" / "bench"
    rows = json.loads((bench / "tables.json").read_text())
    again = subprocess.run(
        [*warm.command(), "bench", "tables", bench / "results", "--format", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(again.stdout) == rows
    assert {row["metric"] for row in rows} >= {"Betti0", "Betti1", "Dice", "HD95", "clDice", "BettiMatchingError"}
    assert '<h2 id="h-benchmark">' in (tmp_path / "run" / "report" / "index.html").read_text()
    resumed = wsss(
        "run", "topomortar_quick", "--run-dir", tmp_path / "run", "--json", *(w for s in SMALL for w in ("--set", s))
    )
    assert {stage["status"] for stage in json.loads(resumed.stdout)["stages"]} == {"skipped"}


@pytest.mark.slow
def test_self_distillation_trains_on_softened_labels(tmp_path: Path) -> None:
    """The pipeline's own stages, on synthetic walls and a tiny network."""
    tiny = {
        "data": "{layout: bricks, size: 64, train: 3, small: 2, val: 1, test: 1}",
        "matrix": "{loss: [ce_dice], labels: [noisy], seed: [1]}",
    }
    for stage in ("first", "second", "segment"):
        tiny |= {f"{stage}.steps": "2", f"{stage}.batch_size": "2", f"{stage}.precision": "32-true"}
        tiny |= {f"{stage}.unet": "{levels: 3, filters: [4, 8, 8], deep_supervision: 1}"}
        tiny |= {f"{stage}.deep_supervision": "{weights: [1, 0.5]}", f"{stage}.augmentation.size": "64"}
    pairs = [word for key, value in tiny.items() for word in ("--set", f"{key}={value}")]
    done = wsss("run", "topomortar_selfdistillation", "--run-dir", tmp_path / "run", *pairs)
    assert done.returncode == 0, done.stderr
    assert "## selfdistillation · noisy labels · large training set" in done.stdout
    first, last = (
        json.loads(
            (tmp_path / "run" / f"{stage}@labels=noisy,size=large,loss=ce_dice,seed=1" / "stage.json").read_text()
        )
        for stage in ("first", "segment")
    )
    assert (first["config"]["labels"], last["config"]["labels"]) == ("ground-truth", "soft")
    assert (first["seed"], last["seed"]) == (1, 21)
