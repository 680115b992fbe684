"""Direction of improvement of every measure."""

from __future__ import annotations

import pytest

from wsss.benchmark.score_set import METRICS
from wsss.benchmark.topomortar_columns import COLUMNS as OURS
from wsss.metrics.directions import direction, verdict
from wsss.metrics.overlap import Measure
from wsss.metrics.structure import COLUMNS


@pytest.mark.parametrize(
    ("measure", "way"),
    [
        ("miou", "higher"),
        ("iou.cat", "higher"),
        ("pixel_accuracy", "higher"),
        ("recall at precision ≥ 0.5", "higher"),
        ("val_average_precision.dog", "higher"),
        ("structure.mean.betti0_error", "lower"),
        ("structure.classes.cat.hd95.mean", "lower"),
        ("structure.classes.cat.cldice.mean", "higher"),
        ("structure.classes.cat.hd95.std", None),
        ("structure.classes.cat.images", None),
        ("train_loss", "lower"),
        ("images", None),
        ("uncertain_fraction", None),
        ("changed_fraction", None),
    ],
)
def test_directions(measure: str, way: str | None) -> None:
    assert direction(measure) == way


def test_every_score_of_the_score_stage_has_a_direction() -> None:
    assert all(direction(measure) == "higher" for measure in Measure.__args__)
    assert all(direction(column) for columns in COLUMNS.values() for column in columns)


def test_the_benchmark_uses_the_same_directions() -> None:
    assert {metric.column: metric.better for metric in METRICS} == {
        metric.column: direction(OURS[metric.column]) for metric in METRICS
    }


def test_verdicts() -> None:
    assert verdict("miou", 0.1) == "better" and verdict("miou", -0.1) == "worse"
    assert verdict("structure.mean.hd95", 0.1) == "worse" and verdict("structure.mean.hd95", -0.1) == "better"
    assert verdict("miou", 0.0) is None and verdict("uncertain_fraction", 0.5) is None
