"""Scores of whole sets of masks: which pixels and classes count, and how means are taken."""

import numpy as np
import pytest

from wsss.metrics.structure import COLUMNS, columns_of, structure_scores, summarise, table_rows

ALL = tuple(COLUMNS)
OPTIONS = {"window": 128, "frame": "none"}
TRUTH = np.zeros((20, 30), np.uint8)
TRUTH[4:16, 4:16] = 1
TRUTH[8:12, 8:12] = 0
TRUTH[2:5, 20:28] = 3


def scored(prediction, truth=TRUTH, **options):
    result = structure_scores(prediction, truth, 5, ALL, **{**OPTIONS, **options})
    return {index: dict(zip(columns_of(ALL), values, strict=True)) for index, values in result.items()}


def test_a_perfect_prediction_has_no_errors_and_absent_classes_are_left_out():
    result = scored(TRUTH)
    assert set(result) == {1, 3}
    for scores in result.values():
        assert scores.pop("cldice") == scores.pop("dice") == 1 and not any(scores.values())


def test_each_class_is_scored_against_the_rest():
    prediction = TRUTH.copy()
    prediction[8:12, 8:12] = 2  # fills the hole with another class: class 1 keeps its hole, class 2 is false
    result = scored(prediction)
    assert result[1]["betti1_error"] == 0 and result[2]["betti0_error"] == 1 and result[2]["cldice"] == 0
    prediction[8:12, 8:12] = 1
    result = scored(prediction)
    assert result[1]["betti1_error"] == result[1]["betti_matching_error_dim1"] == result[1]["betti_matching_error"] == 1
    assert result[1]["betti0_error"] == result[1]["betti_matching_error_dim0"] == 0


def test_pixels_that_do_not_count_are_background_in_both():
    truth = TRUTH.copy()
    truth[:, 18:] = 255
    assert set(scored(TRUTH, truth)) == {1}
    prediction = TRUTH.copy()
    prediction[4:16, 4:16] = 255
    assert scored(prediction)[1]["betti0_error"] == 1
    assert set(scored(prediction, skip_uncertain=True)) == {3}


def test_groups_choose_the_columns_in_a_fixed_order():
    assert columns_of(("hd95", "betti")) == ["betti0_error", "betti1_error", "hd95"]
    assert structure_scores(TRUTH, TRUTH, 2, ("hd95", "cldice"), **OPTIONS) == {1: [1.0, 0.0]}
    assert len(set(columns_of(ALL))) == sum(len(columns) for columns in COLUMNS.values())


def test_means_run_over_the_images_of_a_class_and_then_over_classes():
    per_image = [{1: [1.0], 2: [10.0]}, {1: [4.0]}, {}]
    result = summarise(per_image, ("background", "a", "b", "c"), ("cldice",))
    assert result["classes"]["a"] == {
        "images": 2,
        "cldice": {"mean": 2.5, "std": pytest.approx(np.std([1, 4], ddof=1))},
    }
    assert result["classes"]["b"] == {"images": 1, "cldice": {"mean": 10, "std": None}}
    assert result["classes"]["c"] == {"images": 0, "cldice": {"mean": None, "std": None}}
    assert result["mean"] == {"cldice": 6.25}
    assert summarise([{}], ("background", "a"), ("hd95",))["mean"] == {"hd95": None}
    rows = table_rows(["x", "y", "z"], per_image, ("background", "a", "b", "c"), ("cldice",))
    assert rows == [["image_id", "class", "cldice"], ["x", "a", "1"], ["x", "b", "10"], ["y", "a", "4"]]
