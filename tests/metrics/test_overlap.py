"""Overlap scores against torchmetrics and against hand-counted cases."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_jaccard_index,
    multiclass_precision,
    multiclass_recall,
)

from wsss.errors import InvalidInput
from wsss.metrics.overlap import confusion_matrix, overlap_scores

CLASSES = 4
NAMES = ("background", "a", "b", "c")
values = st.sampled_from([0, 1, 2, 3, 255])
masks = arrays(np.uint8, (6, 7), elements=values)
sure_masks = arrays(np.uint8, (6, 7), elements=st.integers(0, 3))


@given(sure_masks, masks)
def test_scores_agree_with_torchmetrics(prediction, truth):
    scores = overlap_scores(confusion_matrix(prediction, truth, CLASSES), NAMES)
    pred, true = torch.from_numpy(prediction).long(), torch.from_numpy(truth).long()
    supported = [index for index in range(CLASSES) if (truth == index).any()]
    if not supported:
        assert scores["miou"] is None
        return
    options = {"num_classes": CLASSES, "ignore_index": 255, "average": "none"}
    oracles = {"miou": multiclass_jaccard_index, "precision": multiclass_precision, "recall": multiclass_recall}
    for key, oracle in oracles.items():
        assert scores[key] == pytest.approx(oracle(pred, true, **options)[supported].mean().item(), abs=1e-6)
    accuracy = multiclass_accuracy(pred, true, num_classes=CLASSES, ignore_index=255, average="micro")
    assert scores["pixel_accuracy"] == pytest.approx(accuracy.item(), abs=1e-6)


@given(masks, masks)
def test_confusion_adds_up_over_parts_of_an_image(prediction, truth):
    whole = confusion_matrix(prediction, truth, CLASSES)
    parts = confusion_matrix(prediction[:3], truth[:3], CLASSES) + confusion_matrix(prediction[3:], truth[3:], CLASSES)
    assert np.array_equal(whole, parts)
    assert whole.sum() == (truth != 255).sum()


def test_a_class_without_true_pixels_is_left_out_of_the_mean_and_listed():
    truth = np.array([[0, 0, 1, 1]], np.uint8)
    prediction = np.array([[0, 2, 1, 1]], np.uint8)
    scores = overlap_scores(confusion_matrix(prediction, truth, 3), ("background", "a", "b"))
    assert scores["unsupported"] == ["b"]
    assert scores["iou"] == {"background": 0.5, "a": 1.0, "b": None}
    assert scores["miou"] == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("uncertain", "iou_a", "iou_background"), [("miss", 1 / 2, 1 / 2), ("skip", 1.0, 1.0), ("background", 1 / 2, 2 / 3)]
)
def test_options_for_uncertain_pixels(uncertain, iou_a, iou_background):
    truth = np.array([[0, 0, 1, 1, 255]], np.uint8)
    prediction = np.array([[0, 255, 1, 255, 1]], np.uint8)
    scores = overlap_scores(confusion_matrix(prediction, truth, 2, uncertain=uncertain), ("background", "a"))
    assert scores["iou"]["a"] == pytest.approx(iou_a)
    assert scores["iou"]["background"] == pytest.approx(iou_background)


def test_scores_without_counted_pixels_are_none():
    truth = np.full((2, 2), 255, np.uint8)
    scores = overlap_scores(confusion_matrix(truth, truth, 2), ("background", "a"))
    assert scores["miou"] is None and scores["pixel_accuracy"] is None and scores["uncertain_fraction"] is None


@given(masks)
def test_a_perfect_prediction_scores_one(truth):
    scores = overlap_scores(confusion_matrix(np.where(truth == 255, 0, truth), truth, CLASSES), NAMES)
    assert scores["miou"] in (None, 1.0) and scores["pixel_accuracy"] in (None, 1.0)


@pytest.mark.parametrize(
    ("prediction", "truth", "named"), [(3, 0, "prediction"), (0, 254, "truth"), (7, 1, "prediction")]
)
def test_indices_of_no_class_are_refused(prediction: int, truth: int, named: str) -> None:
    masks = [np.array([[value, 0, 255]], np.uint8) for value in (prediction, truth)]
    with pytest.raises(InvalidInput) as error:
        confusion_matrix(*masks, 3)
    assert error.value.subject == named
