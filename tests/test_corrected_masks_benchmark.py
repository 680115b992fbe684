"""benchmarks/corrected_masks.py repeats the last stages of a run with the true masks of some of its images."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from inprocess import succeed

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The program, whose commands run in this process."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import corrected_masks

    monkeypatch.setattr(corrected_masks, "run", lambda *words, show=True: succeed(*words).stdout)
    yield corrected_masks
    del sys.modules["corrected_masks"]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A finished run of the stages that the program repeats, on shapes."""
    succeed("data", "synth", "shapes", tmp_path / "shapes", "--train", 6, "--val", 5, "--size", 32)
    pipeline: dict[str, Any] = yaml.safe_load((ROOT / "tests" / "support" / "quick.yaml").read_text())
    quick = pipeline["stages"]
    quick["segment"]["with"]["optimiser"]["head_lr_factor"] = 1  # the recorded default is refused without a backbone
    last = {"preset": "crf/deeplab", "iterations": 2, "splits": ["val"]}
    stages = {
        "classify": {**quick["classify"], "seed": 3},
        "propagate": {**quick["cam"], "needs": ["classify"]},  # any maps do
        "pseudo": {**quick["pseudo"], "needs": ["propagate"]},
        "crf": {**quick["crf"], "needs": ["pseudo", "propagate"]},
        "segment": {**quick["segment"], "seed": 3},
        "calibrate": {"uses": "calibrate", "needs": ["segment", "crf"], "with": {"splits": ["val"]}},
        "predict-calibrated": {**quick["predict"], "needs": ["calibrate"]},
        "predict-calibrated-crf": {"uses": "crf", "needs": ["predict-calibrated"], "with": last},
        "score": {"uses": "score", "needs": ["predict-calibrated-crf"], "with": {"split": "val"}},
    }
    small = {"name": "small", "data": {"root": str(tmp_path / "shapes")}, "stages": stages}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(small))
    succeed("run", tmp_path / "small.yaml", "--run-dir", tmp_path / "run", "--workers", 1)
    return tmp_path / "run"


def test_the_curve(benchmark: ModuleType, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    words = [run_dir, "--masks", tmp_path / "shapes" / "masks", "--out", out, "--counts", 2, "--weight", 3]
    monkeypatch.setattr(sys, "argv", ["corrected_masks.py", *map(str, words)])
    benchmark.main()
    with (out / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["seed"], row["order"], row["corrected"]) for row in rows] == [
        ("3", "", "0"),
        ("3", "rank", "2"),
        ("3", "random", "2"),
    ]
    # Without corrected masks, everything is as in the run.
    scores = json.loads((run_dir / "score" / "metrics.json").read_text())
    assert float(rows[0]["network_crf"]) == scores["miou"]
    ranked = [image["id"] for image in json.loads(succeed("rank", run_dir, "--json").stdout)["images"]]
    step = out / "run" / "rank-2-weight-3"
    corrected = json.loads((step / "corrections" / "corrections.json").read_text())
    assert sorted(corrected["images"]) == sorted(ranked[:2])
    for image in ranked[:2]:
        assert (step / "crf" / "masks" / f"{image}.png").read_bytes() == (
            step / "corrections" / "masks" / f"{image}.png"
        ).read_bytes()
    recorded = json.loads((step / "segment" / "stage.json").read_text())
    original = json.loads((run_dir / "segment" / "stage.json").read_text())
    changed = {key for key in recorded["config"] if recorded["config"][key] != original["config"].get(key)}
    assert changed == {"corrections", "correction_weight"} and recorded["seed"] == 3
    assert recorded["provenance"]["corrected_masks"].startswith("2 of 6 training images")
