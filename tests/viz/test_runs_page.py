from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from small_run import WEAK, RunBuilder, drawn_dataset

from wsss.viz.report.compare_runs import Run, build_runs_page, differences, results
from wsss.viz.report.run_overview import read_record
from wsss.viz.report.run_page import Options


def a_run(root: Path, name: str, *, shift: int, lr: float, crf: bool = False, images: int = 4) -> tuple[Run, object]:
    data = drawn_dataset(root / "data" / name, train=2, val=images)
    run = RunBuilder(root / name, data)
    run.network("segment", "segment", {}, config={"optimiser": {"lr": lr, "name": "sgd"}, "epochs": 3})
    masks = run.masks("predict", "predict", {"segmenter": "segment"}, split="val", shift=shift, uncertain=2)
    if crf:
        run.stage("predict-crf", "crf", {"masks": "predict"}, config={"preset": "irn"})
    run.score("score", masks, split="val", provenance=WEAK)
    records = tuple(read_record(root / name / stage["id"]) for stage in run.stages)
    return Run(name, records, {"pipeline": name, "seed": 0, "data": {"layout": "voc"}}), data


def test_differences_name_stage_key_and_values(tmp_path: Path) -> None:
    first, _ = a_run(tmp_path, "one", shift=2, lr=0.01)
    second, _ = a_run(tmp_path, "two", shift=9, lr=0.0100001, crf=True)
    result = {(difference.stage, difference.key): difference.values for difference in differences([first, second])}
    assert result == {
        ("run", "pipeline"): ("one", "two"),
        ("segment", "optimiser.lr"): ("0.01", "0.0100001"),
        ("predict-crf", "stage"): ("absent", "crf"),
    }
    assert differences([first, first]) == ()


def test_results_have_differences_from_the_first_run(tmp_path: Path) -> None:
    first, _ = a_run(tmp_path, "one", shift=2, lr=0.01)
    second, _ = a_run(tmp_path, "two", shift=9, lr=0.01)
    miou = next(result for result in results([first, second]) if result.measure == "mIoU")
    assert miou.values == tuple(run.records[-1].metrics["miou"] for run in (first, second))
    assert miou.fair and miou.values[0] > miou.values[1]
    assert miou.steps == ("", f"−{miou.values[0] - miou.values[1]:.3f}")


def test_no_difference_between_scores_of_different_images(tmp_path: Path) -> None:
    first, _ = a_run(tmp_path, "one", shift=2, lr=0.01)
    second, _ = a_run(tmp_path, "two", shift=2, lr=0.01, images=6)
    assert {result.fair for result in results([first, second])} == {False}
    assert {result.steps for result in results([first, second])} == {("", "")}
    assert "measured on different images" in build_runs_page([first, second], None, Options(title="both"))


def test_no_difference_between_scores_against_different_labels(tmp_path: Path) -> None:
    """Equal number and names of images, but another digest of the masks."""
    runs = []
    for name, digest in (("one", "aa"), ("two", "aa"), ("three", "bb")):
        run, _ = a_run(tmp_path, name, shift=2, lr=0.01)
        path = run.records[-1].path / "stage.json"
        record = json.loads(path.read_text()) | {"identity_parts": {"reads": {"val/masks": digest}}}
        path.write_text(json.dumps(record))
        runs.append(replace(run, records=(*run.records[:-1], read_record(path.parent))))
    assert {result.fair for result in results(runs[:2])} == {True}
    assert {result.fair for result in results(runs[1:])} == {False}


def test_a_stage_that_is_a_score_in_only_one_run(tmp_path: Path) -> None:
    first, _ = a_run(tmp_path, "one", shift=2, lr=0.01)
    second, _ = a_run(tmp_path, "two", shift=2, lr=0.01)
    other = replace(second.records[-1], uses="sweep", metrics={"best": 0.5})
    result = results([first, replace(second, records=(*second.records[:-1], other))])
    assert next(one for one in result if one.measure == "mIoU").values[1] is None


def test_page_shows_the_masks_of_both_runs(tmp_path: Path) -> None:
    first, data = a_run(tmp_path, "one", shift=2, lr=0.01)
    second, _ = a_run(tmp_path, "<b>two</b>", shift=9, lr=0.01)
    html = build_runs_page([first, second], data, Options(title="<i>both</i>", images=4))
    assert "<i>both" not in html and "<b>two" not in html
    assert len(re.findall(r'class="row"', html)) == 4
    columns = re.findall(r'data-column="([^"]*)"', html)
    assert set(columns) == {"image", "one: predict", "&lt;b&gt;two&lt;/b&gt;: predict", "ground truth"}
    assert html == build_runs_page([first, second], data, Options(title="<i>both</i>", images=4))
    assert re.findall(r'<section id="([^"]+)"', html) == ["gallery", "numbers", "settings"]


@pytest.mark.parametrize("pictures", [True, False])
def test_page_without_scores_or_masks(tmp_path: Path, pictures: bool) -> None:
    data = drawn_dataset(tmp_path / "data")
    run = RunBuilder(tmp_path / "run", data)
    run.network("segment", "segment", {})
    records = (read_record(tmp_path / "run" / "segment"),)
    html = build_runs_page([Run("a", records), Run("b", records)], data if pictures else None, Options(title="none"))
    assert "no stage of these runs was compared" in html and "All settings are identical" in html
