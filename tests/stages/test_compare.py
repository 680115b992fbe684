"""Comparison tables of real score and sweep stages."""

from __future__ import annotations

import csv
import json
import tracemalloc
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from killing import is_bookkeeping
from learning import coloured_dataset, contents
from matrix import VARIANTS, score_matrix

from wsss.cli.main import cli
from wsss.data.dataset import Dataset
from wsss.errors import InvalidInput
from wsss.io.confusions import CONFUSIONS, write_confusions
from wsss.pipeline.run.runner import run_stage
from wsss.pipeline.run.task import Outcome
from wsss.pipeline.stage import Artifact
from wsss.stages.compare import STAGE, TABLE
from wsss.viz.report.comparison_table import as_json, from_json
from wsss.viz.report.report_scores import is_oracle
from wsss.viz.report.run_overview import COMPARISON

Scores = tuple[Artifact, ...]


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Scores:
    root = tmp_path_factory.mktemp("matrix")
    data: Dataset = coloured_dataset(root / "data", train=3, val=8)
    return score_matrix(root / "run", data, seeds=(0, 1), splits=("val", "train"))


def compare(out: Path, scores: Scores, **config: Any) -> Outcome:
    settings = STAGE.config.model_validate({"resamples": 200, **config})
    return run_stage(STAGE, settings, out=out, inputs={"scores": scores})


def document(out: Path) -> dict[str, Any]:
    return json.loads((out / COMPARISON).read_text())


def test_rows_are_variants_columns_are_scores_and_seeds_are_averaged(tmp_path, scores):
    compare(tmp_path / "out", scores, reference="control")
    table = document(tmp_path / "out")
    assert table["rows"] == list(VARIANTS) and (table["axis"], table["average_over"]) == ("variant", "seed")
    by_name = {column["name"]: column for column in table["columns"]}
    assert set(by_name) == {
        f"{name}-{split}{suffix}"
        for split in ("val", "train")
        for name, suffix in (("score", ""), ("sweep", " best threshold"), ("sweep", " recall at precision ≥ 0.5"))
    }
    for score in scores:
        entry, point = score.id.split("@")
        row, seed = (part.split("=")[1] for part in point.split(","))
        column = by_name[entry if entry.startswith("score") else f"{entry} best threshold"]
        assert column["cells"][row]["seeds"][seed] == score.metrics["miou"]
        assert column["split"] == score.metrics["split"] and column["images"] == score.metrics["images"]
    for column in table["columns"]:
        for row in VARIANTS:
            cell = column["cells"][row]
            assert cell["mean"] == pytest.approx(np.mean(list(cell["seeds"].values())))
            assert cell["interval"][0] <= cell["mean"] <= cell["interval"][1]
        assert column["cells"]["control"]["difference"] is None
        assert column["cells"]["better"]["difference"]["positive"] == 2
        assert (
            column["cells"]["better"]["difference"]["interval"][0] > 0 > column["cells"]["worse"]["difference"]["mean"]
        )


def test_a_column_holds_one_split_only(tmp_path, scores):
    val = [score for score in scores if score.id.startswith("score-val")]
    moved = [
        replace(score, id=score.id.replace("score-train", "score-val").replace("seed=", "seed=1"))
        for score in scores
        if score.id.startswith("score-train")
    ]
    with pytest.raises(InvalidInput) as error:
        compare(tmp_path / "out", (*val, *moved))
    assert str(error.value.subject).endswith(moved[0].id)
    assert all(name in error.value.problem for name in ("'train'", "'score-val'", "'val'"))


def test_oracles_are_stamped_in_every_output(tmp_path, scores):
    result = compare(tmp_path / "out", scores, reference="control", titles={"sweep-val": "seed"})
    for column in document(tmp_path / "out")["columns"]:
        from_sweep = column["name"].startswith("sweep")
        assert column["oracle"] == from_sweep == column["title"].startswith("ORACLE ")
        assert is_oracle(column["facts"]) == from_sweep
    for row in csv.DictReader((tmp_path / "out" / TABLE).open()):
        assert (row["oracle"] == "yes") == row["column"].startswith("ORACLE") == ("score" not in row["column"])
    page = (tmp_path / "out" / "compare.md").read_text()
    head = next(line for line in page.splitlines() if line.startswith("| variant"))
    assert [("ORACLE" in cell) for cell in head.split("|")[2:-1]] == [
        not name.startswith("score") for name in [c["name"] for c in document(tmp_path / "out")["columns"]]
    ]
    assert "ORACLE seed, best threshold · val" in head
    for name in ("precision_recall.svg", "precision_recall_2.svg"):
        assert "ORACLE" in "".join(ElementTree.parse(tmp_path / "out" / name).getroot().itertext())
    assert all(title.startswith("ORACLE") for title in result.metrics["mean"] if "score" not in title)


def test_masks_of_an_oracle_are_stamped_too(tmp_path, scores):
    stamped = [
        replace(
            score, metrics={**score.metrics, "threshold_policy": "ORACLE fixed 0.3 (best on the ground-truth masks)"}
        )
        if score.id == "score-val@variant=better,seed=1"
        else score
        for score in scores
    ]
    compare(tmp_path / "out", tuple(stamped))
    oracles = {column["name"]: column["oracle"] for column in document(tmp_path / "out")["columns"]}
    assert oracles["score-val"] and not oracles["score-train"]


def test_same_input_same_bytes_and_csv_agrees_with_json(tmp_path, scores):
    compare(tmp_path / "one", scores, reference="control")
    compare(tmp_path / "two", scores, reference="control")
    mine, other = ({k: v for k, v in contents(tmp_path / n).items() if not is_bookkeeping(k)} for n in ("one", "two"))
    assert mine == other
    rows = list(csv.DictReader((tmp_path / "one" / TABLE).open()))
    columns = document(tmp_path / "one")["columns"]
    cells = [(column, row, column["cells"][row]) for column in columns for row in VARIANTS]
    assert len(rows) == len(cells)
    for line, (column, row, cell) in zip(rows, cells, strict=True):
        assert (line["row"], line["column"], line["split"]) == (row, column["title"], column["split"])
        assert (float(line["mean"]), float(line["std"])) == (cell["mean"], cell["std"])
        assert [float(line["low"]), float(line["high"])] == cell["interval"]
        if cell["difference"]:
            assert float(line["difference"]) == cell["difference"]["mean"] and line["reference"] == "control"
        else:
            assert line["difference"] == ""
    read = document(tmp_path / "one")
    assert json.loads(json.dumps(as_json(from_json(read)))) == read


def test_other_measures_and_other_axes(tmp_path, scores):
    val = tuple(score for score in scores if score.id.startswith("score-val"))
    compare(tmp_path / "out", val, measures=["miou", "recall", "iou.red", "other_class_pixels"], reference="control")
    by_name = {column["name"]: column for column in document(tmp_path / "out")["columns"]}
    assert list(by_name) == [f"score-val {m}" for m in ("miou", "recall", "iou.red", "other_class_pixels")]
    assert by_name["score-val recall"]["cells"]["better"]["interval"]
    assert by_name["score-val iou.red"]["cells"]["better"]["interval"] is None
    compare(tmp_path / "seeds", val, rows="seed", average_over="variant")
    (column,) = document(tmp_path / "seeds")["columns"]
    assert set(column["cells"]) == {"0", "1"} and len(column["cells"]["0"]["seeds"]) == len(VARIANTS)
    parted = tuple(replace(one, id=f"{one.id},size={'small' if 'seed=0' in one.id else 'large'}") for one in val)
    compare(tmp_path / "sizes", parted, rows="variant")
    assert [column["name"] for column in document(tmp_path / "sizes")["columns"]] == [
        "score-val@size=small",
        "score-val@size=large",
    ]


def test_scores_without_a_matrix_make_one_row(tmp_path, scores):
    score = replace(next(score for score in scores if score.id.startswith("score-val")), id="score-val")
    compare(tmp_path / "out", (score,))
    table = document(tmp_path / "out")
    assert table["rows"] == ["all"] and table["columns"][0]["cells"]["all"]["std"] is None


@pytest.mark.parametrize(
    ("config", "subject", "found", "allowed"),
    [
        ({"reference": "contrl"}, "reference", "contrl", "control"),
        ({"rows": "varant"}, "rows", "varant", "variant"),
        ({"average_over": "sed", "rows": "variant"}, "average_over", "sed", "seed"),
        ({"titles": {"scor-val": "x"}}, "titles", "scor-val", "score-val"),
        ({"measures": ["mio"]}, "measures", "mio", "miou"),
    ],
)
def test_unknown_names_are_refused(tmp_path, scores, config, subject, found, allowed):
    with pytest.raises(InvalidInput) as error:
        compare(tmp_path / "out", scores, **config)
    assert str(error.value.subject).endswith(subject)
    assert error.value.found == found and allowed in error.value.allowed


def test_duplicate_titles_are_refused(tmp_path, scores):
    with pytest.raises(InvalidInput) as error:
        compare(tmp_path / "out", scores, titles={"score-val": "x", "score-train": "x"})
    assert (error.value.subject, error.value.found) == ("titles", "x")


def test_measures_that_are_not_numbers_are_refused(tmp_path, scores):
    with pytest.raises(InvalidInput) as error:
        compare(tmp_path / "out", scores, measures=["split"])
    assert "measures: split of score-" in str(error.value.subject) and error.value.found == "val"


def test_incompatible_scores_are_refused(tmp_path, scores):
    constant = replace(scores[0], id="score-full@seed=0")
    with pytest.raises(InvalidInput) as error:
        compare(tmp_path / "out", (*scores, constant))
    assert error.value.subject == constant.id and "'variant'" in error.value.problem
    bare = tmp_path / "bare"
    bare.mkdir()
    with pytest.raises(InvalidInput) as error:
        compare(tmp_path / "out", (replace(scores[0], path=bare),))
    assert str(error.value.subject).endswith(scores[0].id) and CONFUSIONS in error.value.problem
    counts = json.loads((scores[0].path / CONFUSIONS).read_text())
    counts["images"].pop(next(iter(counts["images"])))
    (bare / CONFUSIONS).write_text(json.dumps(counts))
    with pytest.raises(InvalidInput) as error:
        compare(tmp_path / "out", (scores[0], replace(scores[1], path=bare)))
    assert str(error.value.subject).endswith(scores[1].id) and repr(scores[0].id.split("@")[0]) in error.value.problem


PIPELINE = """
name: matrix
data: {layout: shapes, size: 32, train: 4, val: 4, classes: 2}
matrix: {variant: {control: 0.2, other: 0.4}, seed: [0, 1]}
stages:
  classify: {uses: classify, with: {backbone: {name: resnet18, weights: none}, epochs: 1}}
  cam: {uses: cam, needs: [classify], seed: "${{ matrix.seed }}", with: {splits: [val]}}
  pseudo:
    uses: pseudo
    needs: [cam]
    with: {splits: [val], policy: {name: fixed, background: 0, foreground: "${{ matrix.variant }}"}}
  score: {uses: score, needs: [pseudo]}
  compare: {uses: compare, needs: [score], with: {reference: contrl}}
"""


def test_a_pipeline_with_an_unknown_reference_does_not_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("matrix.yaml").write_text(PIPELINE)
    with pytest.raises(InvalidInput) as error:
        CliRunner().invoke(cli, ["run", "./matrix.yaml"], catch_exceptions=False)
    assert error.value.subject == "Stage 'compare': reference"
    assert (error.value.found, error.value.allowed) == ("contrl", ("control", "other"))
    assert not list(tmp_path.glob("runs/*/classify"))
    right = CliRunner().invoke(cli, ["run", "./matrix.yaml", "--set", "compare.reference=control", "--dry-run"])
    assert right.exit_code == 0, right.output


def test_a_run_is_compared_from_the_command_line(tmp_path, scores):
    run = scores[0].path.parent
    listed = [{"id": score.id, "uses": score.uses, "needs": []} for score in scores]
    (run / "run.json").write_text(json.dumps({"format": 1, "name": "matrix", "stages": listed}))
    arguments = ["compare", "--scores", str(run), "--reference", "control", "--resamples", "50"]
    done = CliRunner().invoke(cli, [*arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rows"] == list(VARIANTS)
    with pytest.raises(InvalidInput) as error:
        CliRunner().invoke(cli, [*arguments, "--row-axis", "loss"], catch_exceptions=False)
    assert (error.value.subject, error.value.found, error.value.allowed) == ("rows", "loss", ("variant",))


def test_memory_does_not_grow_with_images_times_classes(tmp_path: Path) -> None:
    """Of 200 classes, each image shows two; four measures of two scores."""
    names = ("background", *(f"c{n}" for n in range(1, 200)))

    def score(variant: str, images: int) -> Artifact:
        folder = tmp_path / f"{variant}{images}"
        cells = {}
        for number in range(images):
            own = 1 + number % 199
            cells[f"i{number}"] = np.array([[0, 0, 50 + number], [own, 0, 7], [own, own, 9]])
        write_confusions(folder / CONFUSIONS, names, cells.items())
        metrics = dict.fromkeys(("miou", "precision", "recall", "pixel_accuracy"), 0.5) | {"split": "val"}
        return Artifact(folder, id=f"score@variant={variant}", uses="score", metrics=metrics)

    def peak(images: int) -> int:
        scores = (score("a", images), score("b", images))
        tracemalloc.start()
        try:
            compare(tmp_path / f"out{images}", scores, measures=list(scores[0].metrics)[:4], resamples=8)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2)  # imports
    dense = 200 * 201 * 8
    assert peak(60) - peak(10) < 50 * dense / 4
