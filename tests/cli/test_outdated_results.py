"""Commands on a run in which only the first stage ran with new settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from inprocess import document, refused, succeed

from wsss.stages.common.finished_stages import finished_stages

PIPELINE = """
name: t
data: {layout: bricks, train: 3, small: 2, val: 2, test: 1, size: 64}
stages:
  colour: {uses: colour, with: {splits: [train]}}
  pseudo: {uses: pseudo, needs: [colour], with: {splits: [train]}}
  score: {uses: score, needs: [pseudo], with: {split: train}}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outdated")
    (folder / "t.yaml").write_text(PIPELINE)
    succeed("run", folder / "t.yaml", "--run-dir", folder / "t", "--workers", 0)
    succeed(
        *("run", folder / "t.yaml", "--run-dir", folder / "t", "--workers", 0, "--set", "colour.channel=b"),
        *("--until", "colour"),
    )
    return folder / "t"


def test_status_shows_them_as_stale(run: Path) -> None:
    stages = {stage["id"]: stage["status"] for stage in document("status", run)["stages"]}
    assert stages == {"colour": "done", "pseudo": "stale", "score": "stale"}
    assert "pseudo, score: stale" in succeed("status", run).stdout


def test_masks_are_not_exported_or_ranked(run: Path) -> None:
    out = run.parent / "exported"
    assert "pseudo left out: stale" in refused("export", run, "--format", "voc", "--out", out)
    assert not out.exists()
    done = succeed("export", run, "--stage", "pseudo", "--format", "voc", "--out", out)
    assert "pseudo: stale" in done.stderr
    assert "pseudo left out: stale" in refused("rank", run, "--split", "train")


def test_reports_leave_them_out(run: Path) -> None:
    done = succeed("report", run)
    assert "pseudo, score left out: stale" in done.stderr
    page = (run / "report" / "index.html").read_text(encoding="utf-8")
    miou = json.loads((run / "score" / "metrics.json").read_text())["miou"]
    assert f"{miou:.3f}" not in page and "stale" in page


def test_a_comparison_leaves_them_out(run: Path) -> None:
    other = run.parent / "u"
    succeed("run", run.parent / "t.yaml", "--run-dir", other, "--workers", 0)
    done = succeed("report", other, run, "--out", run.parent / "both")
    assert "pseudo, score left out: stale" in done.stderr and done.stderr.count("left out") == 1


def test_a_comparison_leaves_out_stages_that_the_pipeline_no_longer_has(run: Path) -> None:
    text, other = PIPELINE.replace("  score:", "  score-train:"), run.parent / "renamed"
    (run.parent / "renamed.yaml").write_text(text)
    for pipeline in ("t.yaml", "renamed.yaml"):
        succeed("run", run.parent / pipeline, "--run-dir", other, "--workers", 0)
    assert (other / "score" / "stage.json").is_file()
    assert [stage.id for stage in finished_stages(other, print)] == ["colour", "pseudo", "score-train"]
    (other / "run.json").unlink()
    assert {stage.id for stage in finished_stages(other, print)} == {"colour", "pseudo", "score", "score-train"}


def test_single_stages_take_them_with_a_warning(run: Path) -> None:
    data = ("layout", "bricks"), ("train", 3), ("small", 2), ("val", 2), ("test", 1), ("size", 64)
    options = [word for key, value in data for word in (f"--data.{key}", value)]
    done = succeed("score", "--pred", run / "pseudo", "--split", "train", "--out", run.parent / "scored", *options)
    assert "pseudo: stale" in done.stderr
