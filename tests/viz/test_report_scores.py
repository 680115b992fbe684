from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wsss.data.dataset import Dataset
from wsss.data.readers.topomortar import CLASSES
from wsss.viz.report.report_scores import class_table, is_oracle, scores_of
from wsss.viz.report.run_overview import StageRecord, recipes_of
from wsss.viz.report.run_page import stage_numbers
from wsss.viz.report.supervision_ratios import Ratio, ratios


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
    assert (ratio.weak.name, ratio.full.name) == ("score_weak", "score_full")
    assert ratio.value == pytest.approx(0.8)
    assert ratio.differences == ()


def test_other_differences_of_a_ratio_are_listed(tmp_path: Path) -> None:
    (ratio,) = ratios(scores_of(run(tmp_path, initial_weights="none")))
    assert ratio.differences == ("initial weights",)


def test_an_average_of_one_of_two_networks_is_a_difference(tmp_path: Path) -> None:
    (ratio,) = ratios(scores_of(run(tmp_path, weight_average="moving average, decay 0.99")))
    assert ratio.differences == ("moving average of the weights",)


def test_a_null_setting_is_as_a_missing_one() -> None:
    """A stage that has gained a setting has the recipe of its earlier records."""
    records = [
        StageRecord(f"segment@seed={seed}", "segment", Path("s"), config=config)
        for seed, config in enumerate(({"epochs": 2}, {"epochs": 2, "ema": None}, {"epochs": 2, "ema": 0.9}))
    ]
    before, after, other = recipes_of(records).values()
    assert before == after != other


@pytest.mark.parametrize(
    "changes", [{"images": 8}, {"split": "test"}, {"threshold_policy": "ORACLE .3"}, {"supervision": None}]
)
def test_no_ratio_of_incomparable_scores(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert ratios(scores_of(run(tmp_path, **changes))) == ()


def trained(
    tmp_path: Path, entry: str, point: str, miou: float, *, split: str, supervision: str, loss: str = "ce_dice"
) -> list[StageRecord]:
    """One instance of a matrix: a network, its masks of the test images, and their score."""
    ids = [f"{stage}{entry}@{point}" for stage in ("segment", "predict", "score")]
    folders = [tmp_path / id for id in ids]
    (folders[1] / "masks").mkdir(parents=True)
    folders[0].mkdir()
    (folders[0] / "model.json").write_text("{}")
    metrics = {"miou": miou, "iou": {"mortar": miou}, "images": 9, "split": "test"}
    stated = {"supervision": supervision, "initial_weights": "none", "loss": loss}
    config = {"split": split, "labels": "pseudo" if "tile" in supervision else "ground-truth", "loss": {"name": loss}}
    config |= {"optimiser": point.partition(",seed=")[0]}
    return [
        StageRecord(ids[0], "segment", folders[0], config=config),
        StageRecord(ids[1], "predict", folders[1], needs=(ids[0],)),
        StageRecord(ids[2], "score", folders[2], needs=(ids[1],), metrics=metrics, provenance=stated),
    ]


def matrix(tmp_path: Path, *, recorded: bool) -> list[StageRecord]:
    """The networks of `topomortar_weak`: three losses on weak masks, one on each label kind, three seeds."""
    records = []
    for seed in (1, 2, 3):
        for number, loss in enumerate(("ce_dice", "cldice", "betti_matching")):
            weak = {"split": "train-large-accurate", "supervision": "1000 labels of 18-pixel tiles", "loss": loss}
            records += trained(tmp_path, "", f"loss={loss},seed={seed}", 0.4 + 0.1 * number + 0.01 * seed, **weak)
        for kind, miou in (("accurate", 0.8), ("noisy", 0.3), ("pseudo", 0.35)):
            noisy = f"{kind} masks of the dataset" if recorded and kind != "accurate" else "ground-truth masks"
            full = {"split": f"train-large-{kind}", "supervision": noisy}
            records += trained(tmp_path, "-labels", f"labels={kind},seed={seed}", miou + 0.01 * seed, **full)
    return records


def mortar(tmp_path: Path) -> Dataset:
    kinds = {f"train-large-{kind}": kind for kind in ("noisy", "pseudo")}
    return Dataset("walls", tmp_path, CLASSES, dict.fromkeys(("test", *kinds), ()), mask_kinds=kinds)


@pytest.mark.parametrize("recorded", [True, False])
def test_repeated_runs_are_averaged_and_noisy_masks_are_no_full_supervision(tmp_path: Path, recorded: bool) -> None:
    """Records of earlier versions call all masks of the dataset ground truth; its layout knows better."""
    found = ratios(scores_of(matrix(tmp_path, recorded=recorded), None if recorded else mortar(tmp_path)))
    assert [(ratio.weak.name, ratio.full.name) for ratio in found] == [
        (f"score@loss={loss}", "score-labels@labels=accurate") for loss in ("ce_dice", "cldice", "betti_matching")
    ]
    assert [ratio.value for ratio in found] == pytest.approx([0.42 / 0.82, 0.52 / 0.82, 0.62 / 0.82])
    assert [ratio.differences for ratio in found] == [(), ("loss",), ("loss",)]
    assert {len(group.scores) for ratio in found for group in (ratio.weak, ratio.full)} == {3}


def least_different(tmp_path: Path, *full: tuple[str, dict[str, Any]]) -> list[Ratio]:
    weak = {"split": "train", "supervision": "labels of tiles", "loss": "dice"}
    records = trained(tmp_path, "", "loss=dice,rate=low", 0.4, **weak)
    for point, changes in full:
        records += trained(tmp_path, "-full", point, 0.8, supervision="ground-truth masks", **changes)
    return list(ratios(scores_of(records)))


def test_each_network_is_compared_with_the_most_similar_one(tmp_path: Path) -> None:
    (ratio,) = least_different(
        tmp_path,
        ("loss=dice,rate=low", {"split": "small", "loss": "dice"}),
        ("loss=ce,rate=high", {"split": "train", "loss": "ce"}),
        ("loss=dice,rate=high", {"split": "train", "loss": "dice"}),
        ("loss=dice,rate=none", {"split": "small", "loss": "dice"}),
        ("loss=dice,rate=low,extra=1", {"split": "train", "loss": "dice"}),
    )
    assert (ratio.full.name, ratio.differences) == ("score-full@loss=dice,rate=low,extra=1", ())


@pytest.mark.parametrize(
    ("point", "changes", "stated"),
    [
        ("loss=dice,rate=low", {"split": "small", "loss": "dice"}, ("training split",)),
        ("loss=dice,rate=high", {"split": "train", "loss": "dice"}, ("rate",)),
        ("loss=ce,rate=low", {"split": "train", "loss": "ce"}, ("loss",)),
    ],
)
def test_differences_in_training_are_listed(
    tmp_path: Path, point: str, changes: dict[str, Any], stated: tuple[str, ...]
) -> None:
    (ratio,) = least_different(tmp_path, (point, changes))
    assert ratio.differences == stated


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
