from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wsss.viz.report.report_scores import class_table, is_oracle, ratios, scores_of
from wsss.viz.report.run_overview import StageRecord
from wsss.viz.report.run_page import stage_numbers


def network(tmp_path: Path, name: str) -> list[StageRecord]:
    (tmp_path / f"net_{name}").mkdir()
    (tmp_path / f"net_{name}" / "model.json").write_text("{}")
    (tmp_path / f"pred_{name}" / "masks").mkdir(parents=True)
    return [
        StageRecord(f"net_{name}", "segment", tmp_path / f"net_{name}"),
        StageRecord(f"pred_{name}", "predict", tmp_path / f"pred_{name}", needs=(f"net_{name}",)),
    ]


def score(name: str, miou: float, *, images: int = 9, split: str = "val", **provenance: Any) -> StageRecord:
    metrics = {"miou": miou, "iou": {"background": 0.9, "cat": None}, "images": images, "split": split}
    needs = (f"pred_{name}",)
    return StageRecord(f"score_{name}", "score", Path("score"), needs=needs, metrics=metrics, provenance=provenance)


def run(tmp_path: Path, **changes: Any) -> list[StageRecord]:
    weak = score("weak", 0.4, supervision="image-level labels", initial_weights="imagenet")
    full = score("full", 0.5, **{"supervision": "ground-truth masks", "initial_weights": "imagenet", **changes})
    return [*network(tmp_path, "weak"), *network(tmp_path, "full"), weak, full]


def test_ratio_of_comparable_networks(tmp_path: Path) -> None:
    (ratio,) = ratios(scores_of(run(tmp_path)))
    assert (ratio.weak.id, ratio.full.id) == ("score_weak", "score_full")
    assert ratio.value == pytest.approx(0.8)
    assert ratio.differences == ()


def test_other_differences_of_a_ratio_are_listed(tmp_path: Path) -> None:
    (ratio,) = ratios(scores_of(run(tmp_path, initial_weights="none")))
    assert ratio.differences == ("initial weights",)


@pytest.mark.parametrize(
    "changes", [{"images": 8}, {"split": "test"}, {"threshold_policy": "ORACLE .3"}, {"supervision": None}]
)
def test_no_ratio_of_incomparable_scores(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert ratios(scores_of(run(tmp_path, **changes))) == ()


def test_masks_from_cams_are_not_from_a_network(tmp_path: Path) -> None:
    records = run(tmp_path)
    (tmp_path / "net_weak" / "cams").mkdir()
    assert ratios(scores_of(records)) == ()


def test_missing_facts_are_marked() -> None:
    (bare,) = scores_of([StageRecord("s", "score", Path("s"), metrics={"miou": 0.5, "iou": {}})])
    assert {fact.name for fact in bare.facts if not fact.stated} == {
        "split", "images", "threshold policy", "CRF", "scales", "initial weights", "supervision",
    }  # fmt: skip


def test_facts_have_the_names_used_by_the_stages() -> None:
    record = score(
        "x", 0.5, cam={"scales": [1.0, 0.5], "flip": True}, crf="irn", threshold_policy="otsu", backbone="r50"
    )
    facts = {fact.name: fact.value for fact in scores_of([record])[0].facts if fact.stated}
    assert facts == {
        "split": "val", "images": "9", "threshold policy": "otsu", "CRF": "irn", "CAM": "scales 1, 0.5, flip yes",
        "backbone": "r50",
    }  # fmt: skip


def test_provenance_inside_the_metrics_counts_too() -> None:
    metrics = {"miou": 0.5, "iou": {}, "provenance": {"threshold_policy": "ORACLE fixed .3"}}
    assert scores_of([StageRecord("s", "score", Path("s"), metrics=metrics)])[0].oracle


@pytest.mark.parametrize(
    ("value", "answer"),
    [({"threshold_policy": "Oracle .3"}, True), ({"a": [{"oracle": True}]}, True), ({"oracle": False}, False),
     ({"oracle_sweep": [1]}, True), ({"threshold_policy": "otsu"}, False), ({"oracle": None}, False)],
)  # fmt: skip
def test_is_oracle(value: dict[str, Any], answer: bool) -> None:
    assert is_oracle(value) is answer


def test_class_table_distinguishes_no_support_from_not_scored() -> None:
    other = StageRecord("other", "score", Path("s"), metrics={"miou": 0.5, "iou": {"dog": 0.5}})
    rows = {row.name: (row.values, row.unsupported) for row in class_table(scores_of([score("x", 0.9), other]))}
    assert rows["cat"] == ((None, None), (True, False))
    assert rows["dog"] == ((None, 0.5), (False, False))


def test_stage_numbers_sorts_metrics() -> None:
    scalars, groups = stage_numbers(
        {"val_map": 0.5, "absent": [], "iou": {"cat": None}, "sweep": [{"t": 0.1, "miou": 0.2}], "provenance": {"a": 1}}
    )
    assert scalars == [("val mAP", "0.500"), ("absent", "none")]
    assert [(group.title, group.head, group.rows) for group in groups] == [
        ("IoU", ("", "IoU"), (("cat", "–"),)),
        ("sweep", ("t", "mIoU"), (("0.100", "0.200"),)),
    ]
