"""Commands of single stages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from inprocess import toy, wsss
from toys import make_toy_data


@pytest.fixture
def here(tmp_path: Path) -> Path:
    make_toy_data(tmp_path / "d")
    return tmp_path


def record_of(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "stage.json").read_text())
    return record


def test_help_is_generated_from_the_stage(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    text = toy("train", "--help", cwd=here).stdout
    for part in (
        "Train on numbers.",
        "--numbers DIR",
        "--fast / --no-fast",
        "Hurry. [default: false]",
        "--precision 32-true|bf16-mixed",
        "--scales NUMBER,…",
        "--data.root DIR",
    ):
        assert part in text
    assert "--splits NAME,…" in wsss("predict", "--help").stdout  # optional lists have options


def test_chain_of_single_stages(here: Path) -> None:
    make = ("make", "--out", "m", "--n", "2", "--seed", "4", "--json")
    document = json.loads(toy(*make, cwd=here).stdout)
    assert (document["out"], document["status"], document["metrics"]) == ("m", "done", {"n": 2, "loss": 0.5})
    assert set(document) == {"out", "status", "seconds", "metrics"}
    assert (here / "m" / "items" / "001.txt").read_text() == "x 1 4.\n"
    assert json.loads(toy(*make, cwd=here).stdout)["status"] == "skipped"
    trained = toy("train", "--numbers", "m", "--out", "t", "--fast", "--scales", "1,0.5", cwd=here)
    assert trained.returncode == 0, trained.stderr
    record = record_of(here / "t")
    assert (record["config"]["fast"], record["config"]["scales"]) == (True, [1.0, 0.5])
    assert record["provenance"]["text"] == "x" and record["inputs"] == {"numbers": "m", "start": None}
    assert toy("train", "--numbers", "m", "--out", "t", "--no-fast", cwd=here).returncode == 0
    assert record_of(here / "t")["config"]["fast"] is False
    document = json.loads(toy("status", "m", "--json", cwd=here).stdout)
    assert (document["status"], document["held_by"], document["stages"][0]["uses"]) == ("done", None, "make")
    assert toy("status", "m", cwd=here).stdout.startswith("m in m: done\n")


def test_scores_are_printed(here: Path) -> None:
    toy("make", "--out", "m", cwd=here)
    arguments = ["count", "--pred", "m", "--data.root", "d", "--split", "val"]
    done = toy(*arguments, "--json", cwd=here)
    assert json.loads(done.stdout) == {"images": 4, "split": "val", "provenance": {"text": "x", "shared": "make"}}
    assert sorted(path.name for path in here.iterdir()) == ["d", "m"]
    assert toy(*arguments, cwd=here).stdout.startswith("images: 4\nsplit: val\nprovenance:\n  text: x\n")
    done = toy(*arguments, "--out", "s", "--json", "--data.root=d", cwd=here)
    assert json.loads(done.stdout)["images"] == 4 and (here / "s" / "metrics.json").is_file()


def test_precedence_of_presets_config_file_options_and_set(here: Path) -> None:
    (here / "configs").mkdir()
    (here / "configs" / "base.yaml").write_text("n: 1\ntext: preset\npause: 0.001\n")
    (here / "c.yaml").write_text("preset: base\ntext: file\n")
    done = toy("make", "--out", "m", "--config", "c.yaml", "--n", "3", "--set", "n=2", cwd=here)
    assert done.returncode == 0, done.stderr
    config = record_of(here / "m")["config"]
    assert (config["n"], config["text"], config["pause"]) == (2, "file", 0.001)


@pytest.mark.parametrize(
    ("arguments", "subject"),
    [
        (["make", "--out", "o", "--n", "x"], "--n x: n: "),
        (["make", "--out", "o", "--set", "m=1"], "--set m=1: m: "),
        (["make", "--out", "o", "--set", "m"], "--set m: "),
        (["make", "--out", "o", "--config", "no.yaml"], "no.yaml: "),
        (["make", "--out", "o", "--weights", "no.pth"], "--weights no.pth: weights: "),
        (["double", "--out", "o"], "Missing option '--numbers'"),
        (["double", "--out", "o", "--numbers", "none"], "--numbers none: "),
        (["count", "--pred", "d"], "split 'val'"),
        (["count", "--pred", "d", "--data.rot", "d"], "--data.rot d: data.rot: "),
        (["count", "--pred", "d", "--data.root", "d", "--split", "train"], "counting on train is not allowed"),
        (["make", "--out", "d"], "d is not empty"),
    ],
)
def test_invalid_usage(here: Path, arguments: list[str], subject: str) -> None:
    done = toy(*arguments, cwd=here)
    assert done.returncode == 2 and subject in done.stderr and "Traceback" not in done.stderr
    assert not (here / "o").exists() or not list((here / "o").glob("*.json"))


def test_report_takes_stages_or_runs(here: Path) -> None:
    (here / "p.yaml").write_text(
        "name: toy\nstages:\n  make: {uses: make}\n  double: {uses: double, needs: [make]}\n"
        "  all: {uses: gather, needs: [make, double]}\n"
    )
    assert toy("run", "p.yaml", cwd=here).returncode == 0
    assert toy("gather", "--stages", "runs/toy", "--out", "g", cwd=here).returncode == 0
    assert (here / "g" / "index.html").read_text() == "<p>make, double"
    toy("gather", "--stages", "runs/toy/double", "--stages", "runs/toy/make", "--out", "h", cwd=here)
    assert (here / "h" / "index.html").read_text() == "<p>double, make"
    wrong = toy("double", "--numbers", "runs/toy/all", "--out", "x", cwd=here)
    assert wrong.returncode == 2 and "report (made by gather)" in wrong.stderr
    (here / "strange").mkdir()
    assert toy("run", "p.yaml", "--run-dir", "r2", "--until", "make", cwd=here).returncode == 0
    for other, message in (("r2", "runs/toy/make and r2/make"), ("strange", "--stages strange: ")):
        done = toy("gather", "--stages", "runs/toy", "--stages", other, "--out", "i", cwd=here)
        assert done.returncode == 2 and message in done.stderr
    assert not (here / "i" / "index.html").exists()


def test_generated_data_are_stored_in_the_output_folder_or_the_run(here: Path) -> None:
    generate = ("--split", "train", "--data.generate", "x")
    for more in ((), ("--n", "1")):
        assert toy("make", "--out", "m", *generate, *more, cwd=here).returncode == 0
        assert (here / "m" / ".wsss-data" / "toy" / "train" / "images").is_file()
    (here / "p.yaml").write_text("name: toy\nstages: {make: {uses: make}}\n")
    toy("run", "p.yaml", cwd=here)
    toy("make", "--out", "runs/toy/mine", *generate, cwd=here)
    assert (here / "runs" / "toy" / "data" / "toy" / "train" / "images").is_file()


def test_status_of_a_single_stage(here: Path) -> None:
    toy("make", "--out", "m", cwd=here)
    document = json.loads(toy("status", "m", "--json", cwd=here).stdout)
    assert (document["status"], document["held_by"], document["stages"][0]["uses"]) == ("done", None, "make")
    assert toy("status", "m", cwd=here).stdout.startswith("m in m: done\n")


def test_an_optional_list_has_an_option_too() -> None:
    from click.testing import CliRunner

    from wsss.cli.main import cli

    text = CliRunner().invoke(cli, ["predict", "--help"]).output
    assert "--splits NAME,…" in text


@pytest.mark.parametrize("keys", [["--data.root", "d"], ["--data.root", "d", "--data.rot", "d"]])
def test_keys_of_a_dataset_that_no_stage_reads_are_refused(here: Path, keys: list[str]) -> None:
    done = toy("make", "--out", "o", *keys, cwd=here)
    named = ", ".join(keys[::2])
    assert done.returncode == 2
    assert f"{named}: no effect, because make reads no dataset." in done.stderr
    assert f"Omit {named}." in done.stderr
    assert not (here / "o").exists()
