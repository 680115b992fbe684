"""``wsss bench tables``: formats, messages, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from inprocess import wsss
from resultfolders import write_results

SHARED = os.environ.get("WSSS_SHARED_DATA")
LEVELS = {"CEDiceLoss": 1.0, "clDiceLoss": 0.3}


def bench(*arguments: object) -> subprocess.CompletedProcess[str]:
    return wsss("bench", "tables", *arguments)


@pytest.mark.skipif(SHARED is None, reason="WSSS_SHARED_DATA is not set: no results of the authors at hand")
def test_the_authors_results_by_the_command_alone() -> None:
    done = bench(Path(str(SHARED)) / "topomortar" / "results", "--format", "json")
    rows = json.loads(done.stdout)
    bold = {(row["loss"], row["metric"]) for row in rows if row["bold"] and row["group"] == "ID"}
    printed = {pair for pair in bold if pair[1] in ("Betti0", "Betti1", "Dice", "HD95")}
    assert done.returncode == 0 and printed == {
        *(("clDice", "Betti0"), ("clDice", "Betti1"), ("clDice", "HD95"), ("SkelRecall", "Betti1")),
        *(("RWLoss", "HD95"), ("Warping", "HD95"), ("cbDice", "HD95")),
    }


def test_formats_on_stdout_and_notes_on_stderr(tmp_path: Path) -> None:
    results = write_results(tmp_path, {**LEVELS, "cbDiceLoss": 0.97})
    (results / "supervised/accurate/large/clDiceLoss/3.csv").unlink()
    starts = {"md": "# Benchmark\n", "csv": "framework,labels,", "json": '[{"framework"', "html": "<!doctype html>"}
    for style, start in starts.items():
        done = bench(results, "--format", style)
        assert done.returncode == 0 and done.stdout.startswith(start), done.stderr
        assert "note: supervised/accurate/large: fewer than 3 seeds: clDice 2" in done.stderr
    assert bench(results).stdout == bench(results, "--format", "md", "--seed", "0").stdout
    assert bench(results, "--format", "csv").stdout != bench(results, "--format", "csv", "--seed", "1").stdout


def test_plots_and_groups(tmp_path: Path) -> None:
    results = write_results(tmp_path, LEVELS)
    groups = tmp_path / "elsewhere.csv"
    (tmp_path / "dataset" / "dataset_types.txt").rename(groups)
    refused = bench(results)
    assert refused.returncode == 2 and "--groups FILE" in refused.stderr and "Traceback" not in refused.stderr
    done = bench(results, "--groups", groups, "--plots", tmp_path / "plots")
    assert done.returncode == 0 and "8 plots" in done.stderr and len(list((tmp_path / "plots").iterdir())) == 8
    picture = bench(results, "--groups", groups, "--plots", tmp_path / "all.png")
    assert picture.returncode == 2 and "expected a folder" in picture.stderr and not picture.stdout


@pytest.mark.parametrize("arguments", [["none"], ["."], ["--format", "xml"], ["--groups", "none", "."]])
def test_mistakes_are_told_in_a_line_or_two(tmp_path: Path, arguments: list[str], monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = bench(*arguments)
    assert done.returncode == 2 and not done.stdout and "Traceback" not in done.stderr and done.stderr


def test_against_one_loss_across_labels(tmp_path: Path) -> None:
    write_results(tmp_path, LEVELS)
    results = write_results(tmp_path, {"CEDiceLoss": 2.0}, case="supervised/weak/large")
    arm = "supervised/accurate/large/ce_dice"
    rows = json.loads(bench(results, "--against", arm, "--format", "json").stdout)
    assert {(row["labels"], row["loss"]) for row in rows} == {
        ("accurate", "CEDice"), ("accurate", "clDice"), ("weak", "CEDice")
    }  # fmt: skip
    assert bench(results, "--against", arm, "--format", "csv").stdout.startswith("framework,labels,size,loss,group,")
    assert "## Against CEDice · accurate labels" in bench(results, "--against", arm).stdout
    wrong = bench(results, "--against", "supervised/weak/large/clDice")
    assert wrong.returncode == 2 and "FRAMEWORK/LABELS/SIZE/LOSS" in wrong.stderr and not wrong.stdout
