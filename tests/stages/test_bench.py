"""Benchmark tables of a matrix of real score stages."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from killing import is_bookkeeping
from learning import coloured_dataset

from wsss.benchmark.compute_tables import as_json, make_tables
from wsss.benchmark.result_files import find_groups
from wsss.cli.stage_table import benchmark_tables
from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import read_mask, write_mask
from wsss.pipeline.run.runner import run_stage
from wsss.pipeline.run.task import Outcome
from wsss.pipeline.stage import Artifact
from wsss.stages.bench import PAGE, ROWS, STAGE, levels_of
from wsss.stages.report import STAGE as REPORT
from wsss.stages.score import STAGE as SCORE

MORTAR = Classes(("background", "mortar"), ((0,), (1,)))
LOSSES = {"ce_dice": 4, "cldice": 1}
"""Loss → number of spurious specks in its predictions."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    data = coloured_dataset(tmp_path_factory.mktemp("data"), val=6, classes=MORTAR)
    test = data.splits["val"]
    groups = {"test-indistr": test[:2], "test-angles": test[2:4], "test-shadows": test[4:]}
    return replace(data, splits={**data.splits, "test": test, **groups})


def score(
    folder: Path, data: Dataset, id: str, specks: int, seed: int, *, topomortar: bool = True, **keys: Any
) -> Artifact:
    """Score the true masks with additional specks."""
    generator = np.random.default_rng([seed, specks])
    pred = folder / f"predict-{id}"
    for sample in data.split("test"):
        mask = read_mask(sample.mask)  # type: ignore[arg-type]
        for column in range(0, 2 * (specks + int(generator.integers(0, 2))), 2):
            mask[0, column] = 1
        write_mask(pred / f"{sample.id}.png", mask)
    config = SCORE.config.model_validate({"split": "test", "topomortar": topomortar, **keys})
    loss = id.partition("loss=")[2].partition(",")[0] or "ce_dice"
    inputs = {"pred": Artifact(pred, provenance={"loss": loss})}
    return run_stage(SCORE, config, out=folder / id, inputs=inputs, data=data).artifact


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory, data: Dataset) -> tuple[Artifact, ...]:
    folder = tmp_path_factory.mktemp("run")
    return tuple(
        score(folder, data, f"score@loss={loss},seed={seed}", specks, seed)
        for loss, specks in LOSSES.items()
        for seed in (0, 1)
    )


def bench(
    out: Path, data: Dataset | None, scores: Any, segmenters: Any = (), *, plots: bool = False, **config: Any
) -> Outcome:
    """Run the stage; its plots, which take a second, only on request."""
    checked = STAGE.config.model_validate({"permutations": 200, **config})
    inputs = {"scores": scores, "segmenters": segmenters}
    with pytest.MonkeyPatch.context() as patched:
        if not plots:
            patched.setattr("wsss.benchmark.figures.plots.write_plots", lambda benchmark, folder: [])
        return run_stage(STAGE, checked, out=out, inputs=inputs, data=data)


def test_scores_become_result_files_in_the_layout_of_the_paper(tmp_path, data, scores):
    bench(tmp_path / "bench", data, scores)
    results = tmp_path / "bench" / "results"
    files = sorted(path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file())
    assert files == [
        f"supervised/accurate/large/{folder}/{seed}.csv" for folder in ("CEDiceLoss", "clDiceLoss") for seed in (0, 1)
    ]
    for score, path in zip(scores, files, strict=True):
        assert (results / path).read_bytes() == (score.path / "topomortar.csv").read_bytes()


def test_mixed_cldice_definitions_are_refused(tmp_path, data, scores):
    ids = [f"score@loss={loss},seed=0" for loss in LOSSES]
    swapped = tuple(score(tmp_path, data, id, 1, 0, transposed=True) for id in ids)
    with pytest.raises(InvalidInput) as error:
        bench(tmp_path / "mixed", data, (swapped[0], *scores[1:3]))
    assert "1 of 3" in error.value.problem and "(score@loss=ce_dice,seed=0)" in error.value.problem
    assert "transposed" in str(error.value.hint)
    bench(tmp_path / "bench", data, swapped)


def test_the_tables_are_those_of_the_command(tmp_path, data, scores):
    outcome = bench(tmp_path / "bench", data, scores, plots=True)
    results = tmp_path / "bench" / "results"
    rows = as_json(make_tables(results, find_groups(results), permutations=200).rows)
    assert json.loads((tmp_path / "bench" / ROWS).read_text()) == rows
    assert {row["group"] for row in rows} == {"ID", "OOD"} and {row["loss"] for row in rows} == {"CEDice", "clDice"}
    means = {(one["group"], one["loss"]): one["Betti0"] for one in outcome.metrics["mean"]}
    assert means["OOD", "CEDice"] > means["OOD", "clDice"] > 0
    assert "supervised/accurate/large: OOD: clDice: Betti0" in outcome.metrics["better"]
    page = (tmp_path / "bench" / PAGE).read_text()
    assert "| clDice | " in page and "**" in page and "Training time" not in page
    assert len(list((tmp_path / "bench" / "plots").glob("*.svg"))) == 8


def test_commands_print_the_tables(tmp_path, data, scores):
    out = bench(tmp_path / "bench", data, scores).artifact.path
    assert benchmark_tables("bench", out) == (out / PAGE).read_text(encoding="utf-8")
    assert benchmark_tables("score", out) is None and benchmark_tables("bench", tmp_path) is None


@pytest.mark.slow
def test_the_same_scores_give_the_same_bytes(tmp_path, data, scores):
    for name in ("one", "other"):
        bench(tmp_path / name, data, scores, plots=True)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    same = [file for file in files if not is_bookkeeping(file.as_posix())]
    assert len(same) > 15
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes() for file in same)


def test_places_by_axis_by_stage_and_by_default(tmp_path, data, scores):
    weak = score(tmp_path, data, "score-weak@loss=cldice,seed=3", 2, 3)
    small = score(tmp_path, data, "score@framework=randhue,labels=noisy,size=small,loss=cldice,seed=3", 2, 3)
    alone = score(tmp_path, data, "score-alone", 2, 3)
    per_score = {"score-weak": {"labels": "weak"}, "score-alone": {"labels": "pseudo", "seed": 7}}
    bench(tmp_path / "bench", data, (weak, small, alone), per_score=per_score, framework="selfdistillation")
    results = tmp_path / "bench" / "results"
    assert sorted(path.relative_to(results).as_posix() for path in results.rglob("*.csv")) == [
        "randhue/noisy/small/clDiceLoss/3.csv",
        "selfdistillation/pseudo/large/CEDiceLoss/7.csv",
        "selfdistillation/weak/large/clDiceLoss/3.csv",
    ]


def test_training_time_and_memory_are_written_next_to_the_scores(tmp_path, data, scores):
    segmenters = []
    for name, seconds in (
        ("segment@loss=cldice,seed=0", 60.0),
        ("finetune@loss=cldice", 30.0),
        ("segment@loss=x", 1.0),
    ):
        (tmp_path / name).mkdir()
        record = {"identity": "x", "seconds": seconds, "peak_memory_bytes": 2**30, "device": "cpu"}
        (tmp_path / name / "stage.json").write_text(json.dumps(record))
        segmenters.append(Artifact(tmp_path / name, id=name, identity=name))
    bench(tmp_path / "bench", data, scores, tuple(segmenters))
    loss = tmp_path / "bench" / "results" / "supervised" / "accurate" / "large" / "clDiceLoss"
    assert json.loads((loss / "0.json").read_text()) == {"seconds": 90.0, "memory_bytes": 2**30, "device": "cpu"}
    assert json.loads((loss / "1.json").read_text())["seconds"] == 30.0
    assert not list((loss.parent / "CEDiceLoss").glob("*.json"))
    assert "1\N{NO-BREAK SPACE}min\N{NO-BREAK SPACE}00\N{NO-BREAK SPACE}s" in (tmp_path / "bench" / PAGE).read_text()


def test_groups_from_a_file(tmp_path, data, scores):
    file = tmp_path / "groups.csv"
    with file.open("w") as text:
        csv.writer(text).writerows([("ID", "group"), *((sample.id, "indistr") for sample in data.split("test"))])
    plain = replace(data, splits={"test": data.splits["test"]})
    bench(tmp_path / "bench", plain, scores, groups=file)
    assert {row["group"] for row in json.loads((tmp_path / "bench" / ROWS).read_text())} == {"ID"}
    for data_without_groups in (plain, None):
        with pytest.raises(InvalidInput) as error:
            bench(tmp_path / "none", data_without_groups, scores)
        assert error.value.subject == "bench" and "groups: FILE" in str(error.value.hint)


def test_duplicate_places_are_refused(tmp_path, data, scores):
    twice = score(tmp_path, data, "again@loss=cldice,seed=0", 1, 0)
    with pytest.raises(InvalidInput) as error:
        bench(tmp_path / "bench", data, (*scores, twice))
    assert f"score@loss=cldice,seed=0 and {twice.id}" in error.value.problem


def test_scores_without_topomortar_columns_are_refused(tmp_path, data):
    without = score(tmp_path, data, "plain@loss=cldice,seed=0", 1, 0, topomortar=False)
    with pytest.raises(InvalidInput) as error:
        bench(tmp_path / "bench", data, (without,))
    assert str(error.value.subject).endswith(without.id) and "topomortar: true" in str(error.value.hint)


@pytest.mark.parametrize(
    ("changes", "config", "subject", "found"),
    [
        ({"id": "score@seed=0", "provenance": {}}, {}, "score@seed=0", None),
        ({"id": "score@loss=cldice,seed=one"}, {}, "score@loss=cldice,seed=one: seed", "one"),
        ({}, {"labels": "../x"}, "score@loss=ce_dice,seed=0: labels", "../x"),
        ({}, {"size": ".."}, "score@loss=ce_dice,seed=0: size", ".."),
    ],
)
def test_scores_without_a_valid_place_are_refused(scores, changes, config, subject, found):
    with pytest.raises(InvalidInput) as error:
        levels_of(STAGE.config.model_validate(config), replace(scores[0], **changes))
    assert (error.value.subject, error.value.found) == (subject, found)


def test_unknown_stages_in_places_are_refused(tmp_path, data, scores):
    with pytest.raises(InvalidInput) as error:
        bench(tmp_path / "bench", data, scores, per_score={"scores": {"labels": "weak"}})
    assert (error.value.subject, error.value.found, error.value.allowed) == ("per_score", "scores", ("score",))


def test_the_report_shows_the_tables(tmp_path, data, scores):
    made = bench(tmp_path / "bench", data, scores, plots=True).artifact
    config = REPORT.config.model_validate({"images": 0})
    run_stage(REPORT, config, out=tmp_path / "report", inputs={"stages": (*scores, made)}, data=data)
    page = (tmp_path / "report" / "index.html").read_text()
    assert '<h2 id="h-benchmark">' in page and "In-distribution (ID)" in page and "Out of distribution (OOD)" in page
    assert page.count("data:image/svg+xml;base64,") == 8
    bold = [cell for cell in page.split("<td>")[1:] if cell.startswith("<b>")]
    assert len(bold) == sum(row["bold"] for row in json.loads((made.path / ROWS).read_text())) > 0


def test_only_upstream_training_counts(tmp_path, data):
    """Two rounds of self-training have the same matrix values."""
    first = score(tmp_path, data, "score@loss=cldice,seed=1", 2, 3)
    second = score(tmp_path, data, "score-again@loss=cldice,seed=1", 2, 3)
    inputs = {
        first.path.name: {"pred": "predict@loss=cldice,seed=1"},
        second.path.name: {"pred": "predict-again@loss=cldice,seed=1"},
        "predict@loss=cldice,seed=1": {"segmenter": "segment@loss=cldice,seed=1"},
        "predict-again@loss=cldice,seed=1": {"segmenter": "segment-again@loss=cldice,seed=1"},
        "segment-again@loss=cldice,seed=1": {"masks": "predict@loss=cldice,seed=1", "classifier": None},
        "segment@loss=cldice,seed=1": {"masks": "/elsewhere/masks"},
    }
    for name, needs in inputs.items():
        (tmp_path / name).mkdir(exist_ok=True)
        seconds = 900.0 if "again" in name else 100.0
        record = {"identity": "x", "seconds": seconds, "device": "cpu", "inputs": needs}
        (tmp_path / name / "stage.json").write_text(json.dumps(record))
    names = ("segment@loss=cldice,seed=1", "segment-again@loss=cldice,seed=1")
    segmenters = tuple(Artifact(tmp_path / name, id=name, identity=name) for name in names)
    bench(tmp_path / "bench", data, (first, second), segmenters, per_score={"score-again": {"labels": "again"}})
    results = tmp_path / "bench" / "results" / "supervised"
    for labels, seconds in (("accurate", 100.0), ("again", 1000.0)):
        assert json.loads((results / labels / "large/clDiceLoss/1.json").read_text())["seconds"] == seconds


def test_across_labels_compared_with_one_of_them(tmp_path, data, scores):
    weak = tuple(score(tmp_path, data, f"score-weak@loss=cldice,seed={seed}", 2, seed) for seed in (0, 1))
    arm = "supervised/accurate/large/ce_dice"
    bench(tmp_path / "bench", data, (*scores, *weak), per_score={"score-weak": {"labels": "weak"}}, reference=arm)
    rows = json.loads((tmp_path / "bench" / "contrasts.json").read_text())
    contrast = next(
        row
        for row in rows
        if (row["labels"], row["loss"], row["group"], row["metric"]) == ("weak", "clDice", "OOD", "Betti0")
    )
    assert contrast["difference"] < 0 and contrast["images"] == 4 and set(contrast["seeds"]) == {"0", "1"}
    assert "## Compared with CEDice · accurate labels" in (tmp_path / "bench" / PAGE).read_text()


@pytest.mark.parametrize("name", ["supervised/weak/large/ce_dice", "supervised/accurate/large/topo"])
def test_an_impossible_reference_is_refused_before_the_run(name):
    config = STAGE.config.model_validate({"reference": name})
    ids = {"scores": ("score@loss=ce_dice,seed=0", "score@loss=cldice,seed=0")}
    with pytest.raises(InvalidInput) as error:
        STAGE.check_inputs(config, ids)
    assert (error.value.subject, error.value.found) == ("reference", name)
    assert error.value.allowed[0] == "supervised/accurate/large/CEDice"
    # The loss of this score is unknown until its training has finished.
    STAGE.check_inputs(config, {"scores": (f"score-x@labels={name.split('/')[1]},seed=0",)})


def test_a_reference_has_four_parts():
    with pytest.raises(ValueError, match="reference"):
        STAGE.config.model_validate({"reference": "accurate/large/ce_dice"})


def test_a_copied_training_has_the_time_of_the_original(tmp_path, data, scores):
    segmenters = []
    for name, seconds, more in (
        ("segment@loss=cldice,seed=0", 60.0, {}),
        ("segment@loss=cldice,seed=1", 0.1, {"same_as": "segment@loss=cldice,seed=0"}),
    ):
        folder = tmp_path / name
        folder.mkdir()
        record = {"id": name, "identity": "one", "status": "done", "seconds": seconds, "device": "cpu", **more}
        (folder / "stage.json").write_text(json.dumps(record))
        segmenters.append(Artifact(folder, id=name))
    bench(tmp_path / "bench", data, scores, tuple(segmenters))
    costs = [
        json.loads(path.read_text())["seconds"] for path in sorted((tmp_path / "bench").rglob("clDiceLoss/*.json"))
    ]
    assert costs == [60.0, 60.0]
