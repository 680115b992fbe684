"""``wsss bench tables``: formats, messages, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from inprocess import refused, succeed
from resultfolders import write_results
from shareddata import SHARED_DATA, needs_shared_data

LEVELS = {"CEDiceLoss": 1.0, "clDiceLoss": 0.3}


TABLES = ("bench", "tables")


@needs_shared_data
def test_results_of_the_authors() -> None:
    done = succeed(*TABLES, SHARED_DATA / "topomortar" / "results", "--format", "json")
    rows = json.loads(done.stdout)
    bold = {(row["loss"], row["metric"]) for row in rows if row["bold"] and row["group"] == "ID"}
    printed = {pair for pair in bold if pair[1] in ("Betti0", "Betti1", "Dice", "HD95")}
    assert printed == {
        *(("clDice", "Betti0"), ("clDice", "Betti1"), ("clDice", "HD95"), ("SkelRecall", "Betti1")),
        *(("RWLoss", "HD95"), ("Warping", "HD95"), ("cbDice", "HD95")),
    }


@pytest.mark.slow
def test_formats_on_stdout_and_notes_on_stderr(tmp_path: Path) -> None:
    results = write_results(tmp_path, {**LEVELS, "cbDiceLoss": 0.97})
    (results / "supervised/accurate/large/clDiceLoss/3.csv").unlink()
    starts = {"md": "# Benchmark\n", "csv": "framework,labels,", "json": '[{"framework"', "html": "<!doctype html>"}
    printed = {}
    for style, start in starts.items():
        done = succeed(*TABLES, results, "--format", style)
        assert done.stdout.startswith(start) and "fewer than 3 seeds: clDice 2" in done.stderr
        printed[style] = done.stdout
    assert succeed(*TABLES, results, "--seed", "0").stdout == printed["md"]
    assert succeed(*TABLES, results, "--format", "csv", "--seed", "1").stdout != printed["csv"]


@pytest.mark.slow
def test_plots_and_groups(tmp_path: Path) -> None:
    results = write_results(tmp_path, LEVELS)
    groups = tmp_path / "elsewhere.csv"
    (tmp_path / "dataset" / "dataset_types.txt").rename(groups)
    assert "--groups FILE" in refused(*TABLES, results)
    done = succeed(*TABLES, results, "--groups", groups, "--plots", tmp_path / "plots")
    assert "8 plots" in done.stderr and len(list((tmp_path / "plots").iterdir())) == 8
    assert "all.png" in refused(*TABLES, results, "--groups", groups, "--plots", tmp_path / "all.png")
    for style in ("svg", "pdf"):
        assert "--plots" in refused(*TABLES, results, "--groups", groups, "--plot-format", style)


@pytest.mark.parametrize("arguments", [["none"], ["."], ["--format", "xml"], ["--groups", "none", "."]])
def test_invalid_usage(tmp_path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused(*TABLES, *arguments)


def test_a_folder_without_results_is_not_asked_for_groups(tmp_path: Path) -> None:
    (tmp_path / "supervised/accurate/large/CEDiceLoss").mkdir(parents=True)
    message = refused(*TABLES, tmp_path)
    assert "no results" in message and "--groups" not in message


def test_comparison_with_one_loss_across_labels(tmp_path: Path) -> None:
    write_results(tmp_path, LEVELS)
    results = write_results(tmp_path, {"CEDiceLoss": 2.0}, case="supervised/weak/large")
    arm = "supervised/accurate/large/ce_dice"
    rows = json.loads(succeed(*TABLES, results, "--reference", arm, "--format", "json").stdout)
    assert {(row["labels"], row["loss"]) for row in rows} == {
        ("accurate", "CEDice"), ("accurate", "clDice"), ("weak", "CEDice")
    }  # fmt: skip
    compared = (*TABLES, results, "--reference")
    assert succeed(*compared, arm, "--format", "csv").stdout.startswith("framework,labels,size,loss,group,")
    assert "## Compared with CEDice · accurate labels" in succeed(*compared, arm).stdout
    refused(*compared, "supervised/weak/large/clDice")
