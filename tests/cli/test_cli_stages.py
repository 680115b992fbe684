from __future__ import annotations

import json
from pathlib import Path

import pytest
from toycli import toy
from toys import make_toy_data


@pytest.fixture
def here(tmp_path: Path) -> Path:
    make_toy_data(tmp_path / "d")
    return tmp_path


def test_help_is_made_from_the_declaration(here: Path) -> None:
    text = toy("train", "--help", cwd=here, COLUMNS="140").stdout
    assert "Train on numbers." in text
    assert "--numbers DIR" in text
    assert "--fast / --no-fast" in text
    assert "Hurry. [default: false]" in text
    assert "--precision 32-true|bf16-mixed" in text
    assert "--scales NUMBER,…" in text
    assert "--data.root DIR" in text


def test_a_chain_of_single_stages(here: Path) -> None:
    made = toy("make", "--out", "m", "--n", "2", "--seed", "4", "--json", cwd=here)
    assert made.returncode == 0, made.stderr
    document = json.loads(made.stdout)
    assert (document["out"], document["status"], document["metrics"]) == ("m", "done", {"n": 2, "loss": 0.5})
    assert set(document) == {"out", "status", "seconds", "metrics"}
    assert (here / "m" / "items" / "001.txt").read_text() == "x 1 4.\n"
    again = toy("make", "--out", "m", "--n", "2", "--seed", "4", "--json", cwd=here)
    assert json.loads(again.stdout)["status"] == "skipped"
    trained = toy("train", "--numbers", "m", "--out", "t", "--fast", "--scales", "1,0.5", cwd=here)
    assert trained.returncode == 0, trained.stderr
    record = json.loads((here / "t" / "stage.json").read_text())
    assert (record["config"]["fast"], record["config"]["scales"]) == (True, [1.0, 0.5])
    assert record["provenance"]["text"] == "x"
    assert record["inputs"] == {"numbers": "m", "start": None}
    assert toy("train", "--numbers", "m", "--out", "t", "--no-fast", cwd=here).returncode == 0
    assert json.loads((here / "t" / "stage.json").read_text())["config"]["fast"] is False


def test_scores_are_printed(here: Path) -> None:
    toy("make", "--out", "m", cwd=here)
    arguments = ["count", "--pred", "m", "--data.root", "d", "--split", "val"]
    done = toy(*arguments, "--json", cwd=here)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"images": 4, "split": "val", "provenance": {"text": "x", "shared": "make"}}
    assert sorted(path.name for path in here.iterdir()) == ["d", "m"]
    done = toy(*arguments, cwd=here)
    assert done.stdout.startswith("images: 4\nsplit: val\nprovenance:\n  text: x\n")
    done = toy(*arguments, "--out", "s", "--json", "--data.root=d", cwd=here)
    assert json.loads(done.stdout)["images"] == 4
    assert (here / "s" / "metrics.json").is_file()


def test_config_file_presets_options_and_set_in_this_order(here: Path) -> None:
    (here / "configs").mkdir()
    (here / "configs" / "base.yaml").write_text("n: 1\ntext: preset\npause: 0.001\n")
    (here / "c.yaml").write_text("preset: base\ntext: file\n")
    done = toy("make", "--out", "m", "--config", "c.yaml", "--n", "3", "--set", "n=2", cwd=here)
    assert done.returncode == 0, done.stderr
    config = json.loads((here / "m" / "stage.json").read_text())["config"]
    assert (config["n"], config["text"], config["pause"]) == (2, "file", 0.001)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["make", "--out", "o", "--n", "x"], "--n x: n: input should be a valid integer"),
        (
            ["make", "--out", "o", "--set", "m=1"],
            "--set m=1: m: unknown key; allowed are n, pause, split, text, weights",
        ),
        (["make", "--out", "o", "--set", "m"], "--set m: expected key.path=value"),
        (["make", "--out", "o", "--config", "no.yaml"], "no.yaml: no such file"),
        (["make", "--out", "o", "--weights", "no.pth"], "--weights no.pth: weights: no such file or folder: no.pth"),
        (["double", "--out", "o"], "Missing option '--numbers'"),
        (["double", "--out", "o", "--numbers", "none"], "--numbers none: no such folder"),
        (["count", "--pred", "d"], "the masks of split 'val'."),
        (["count", "--pred", "d", "--data.rot", "d"], "--data.rot d: data.rot: unknown key"),
        (["count", "--pred", "d", "--data.root", "d", "--split", "train"], "counting on train is not allowed"),
        (["make", "--out", "d"], "d: not empty and not the folder of a stage"),
    ],
)
def test_mistakes(here: Path, arguments: list[str], message: str) -> None:
    done = toy(*arguments, cwd=here)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (here / "o").exists() or not list((here / "o").glob("*.json"))


def test_a_report_takes_stages_or_a_whole_run(here: Path) -> None:
    (here / "p.yaml").write_text(
        "name: toy\nstages:\n  make: {uses: make}\n  double: {uses: double, needs: [make]}\n"
        "  all: {uses: gather, needs: [make, double]}\n"
    )
    assert toy("run", "p.yaml", cwd=here).returncode == 0
    done = toy("gather", "--stages", "runs/toy", "--out", "g", "--json", cwd=here)
    assert done.returncode == 0, done.stderr
    assert (here / "g" / "index.html").read_text() == "<p>make, double"
    done = toy("gather", "--stages", "runs/toy/double", "--stages", "runs/toy/make", "--out", "h", cwd=here)
    assert (here / "h" / "index.html").read_text() == "<p>double, make"
    done = toy("double", "--numbers", "runs/toy/all", "--out", "x", cwd=here)
    assert "expected numbers, got 'report'" in done.stderr


def test_stages_of_the_same_name_are_refused_and_so_are_strange_folders(here: Path) -> None:
    for run in ("r1", "rs"):
        (here / "p.yaml").write_text("name: toy\nstages: {make: {uses: make}}\n")
        assert toy("run", "p.yaml", "--run-dir", run, cwd=here).returncode == 0
    done = toy("gather", "--stages", "r1", "--stages", "rs", "--out", "g", cwd=here)
    assert done.returncode == 2
    assert "stages: two stages are called 'make': r1/make and rs/make." in done.stderr
    (here / "strange").mkdir()
    done = toy("gather", "--stages", "r1", "--stages", "strange", "--out", "g", cwd=here)
    assert done.returncode == 2
    assert "--stages strange: neither strange nor runs/strange is a run directory or a stage's folder" in done.stderr
    assert not (here / "g" / "index.html").exists()


def test_generated_data_lie_in_the_output_folder_or_in_the_run(here: Path) -> None:
    assert toy("make", "--out", "m", "--split", "train", "--data.generate", "x", cwd=here).returncode == 0
    assert (here / "m" / ".wsss-data" / "toy" / "train" / "images").is_file()
    changed = toy("make", "--out", "m", "--split", "train", "--data.generate", "x", "--n", "1", cwd=here)
    assert changed.returncode == 0, changed.stderr
    assert (here / "m" / ".wsss-data" / "toy" / "train" / "images").is_file()  # it is in use while the rest goes
    (here / "p.yaml").write_text("name: toy\nstages: {make: {uses: make}}\n")
    toy("run", "p.yaml", cwd=here)
    toy("make", "--out", "runs/toy/mine", "--split", "train", "--data.generate", "x", cwd=here)
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
    assert f"{named}: no effect, since make reads no dataset." in done.stderr
    assert f"Leave {named} out." in done.stderr
    assert not (here / "o").exists()
