"""Differences are coloured by the better direction, not by their sign."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from wsss.io.files.atomic import write_json
from wsss.metrics.comparison import Cell, Difference
from wsss.viz.report.compare_runs import Run, build_runs_page, results
from wsss.viz.report.comparison_table import Comparison, ShownColumn, as_json, as_markdown
from wsss.viz.report.run_overview import COMPARISON, StageRecord
from wsss.viz.report.run_page import Options, build_report

CHANGE = 0.25


def compared(measure: str, change: float) -> Comparison:
    interval = (min(change / 2, change * 2), max(change / 2, change * 2))
    cells = {
        "base": Cell({"0": 0.5}, 0.5, None, None, None),
        "other": Cell(
            {"0": 0.5 + change}, 0.5 + change, None, None, Difference(change, None, interval, 1, int(change > 0))
        ),
    }
    column = ShownColumn("score", "score", measure, "val", 4, False, {}, cells)
    return Comparison("variant", "seed", ("base", "other"), "base", 0, 0.95, (column,), ())


def page_of(folder: Path, comparison: Comparison) -> str:
    folder.mkdir(parents=True)
    write_json(folder / COMPARISON, as_json(comparison))
    return build_report([StageRecord("compare", "compare", folder)], None, Options(title="x")).html


@pytest.mark.parametrize(
    ("measure", "change", "colour"),
    [
        ("miou", CHANGE, "better"),
        ("miou", -CHANGE, "worse"),
        ("structure.mean.betti0_error", CHANGE, "worse"),
        ("structure.mean.betti0_error", -CHANGE, "better"),
        ("structure.classes.cat.hd95.mean", CHANGE, "worse"),
        ("other_class_pixels", CHANGE, ""),
        ("miou", 0.0001, ""),  # shown as +0.000
    ],
)
def test_the_table_of_a_matrix(tmp_path: Path, measure: str, change: float, colour: str) -> None:
    html = page_of(tmp_path / "compare", compared(measure, change))
    classes = re.search(r'<span class="sure ([a-z]*)">[+−]0', html)
    assert classes is not None and classes[1] == colour
    assert (" lower is better" in html) == ("error" in measure or "hd95" in measure)


def test_markdown_marks_measures_where_lower_is_better() -> None:
    errors = as_markdown(compared("structure.mean.hd95", CHANGE))
    assert "| score · val (lower is better) |" in errors
    assert "structure.mean.hd95 (lower is better), split val, 4 images" in errors
    assert "lower is better" not in as_markdown(compared("miou", CHANGE))
    assert "is better" not in as_markdown(compared("images", CHANGE))


def a_run(name: str, miou: float, error: float, cldice: float) -> Run:
    metrics = {
        "miou": miou,
        "precision": miou,
        "recall": miou,
        "pixel_accuracy": miou,
        "iou": {"cat": miou},
        "images": 4,
        "split": "val",
        "structure": {"mean": {"betti0_error": error, "cldice": cldice, "novel": 1 + error}},
    }
    return Run(name, (StageRecord("score", "score", Path("nowhere"), metrics=metrics),))


def test_runs_side_by_side() -> None:
    runs = [a_run("one", 0.5, 3.0, 0.9), a_run("two", 0.6, 5.0, 0.8), a_run("three", 0.5, 1.0, 0.9)]
    by_measure = {result.measure: result for result in results(runs)}
    assert by_measure["mIoU"].verdicts == (None, "better", None)
    assert by_measure["betti0 error"].steps == ("", "+2.000", "−2.000")
    assert by_measure["betti0 error"].verdicts == (None, "worse", "better")
    assert by_measure["cldice"].verdicts == (None, "worse", None)
    assert by_measure["novel"].verdicts == (None, None, None)  # no known direction
    html = build_runs_page(runs, None, Options(title="x"))
    assert '<small class="worse">+2.000</small>' in html and '<small class="better">−2.000</small>' in html
    assert "<small>+2.000</small>" in html


def test_incomparable_runs_have_no_verdict() -> None:
    one, two = a_run("one", 0.5, 3.0, 0.9), a_run("two", 0.6, 5.0, 0.8)
    (record,) = two.records
    other = replace(two, records=(replace(record, metrics={**record.metrics, "images": 5}),))
    assert {result.verdicts for result in results([one, other])} == {(None, None)}
