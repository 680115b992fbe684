"""The public metrics on the arrays and tensors that users have."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_jaccard_index

import wsss.metrics as metrics
from wsss.errors import InvalidInput
from wsss.io.rasters.only_background import OnlyBackground
from wsss.metrics import class_iou, confusion_matrix, mean_iou

MASKS = [
    getattr(metrics, name) for name in metrics.__all__ if name not in ("class_iou", "confusion_matrix", "mean_iou")
]
EVERY_MASK_METRIC = pytest.mark.parametrize("metric", MASKS, ids=lambda metric: metric.__name__)


def masks() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    gt = generator.random((12, 15)) > 0.4
    return gt ^ (generator.random(gt.shape) > 0.9), gt


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, wsss.metrics; assert not {'torch', 'numpy', 'numba'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError):
        _ = metrics.missing


@EVERY_MASK_METRIC
def test_masks_of_every_usual_form(metric: Callable[..., Any]) -> None:
    pred, gt = masks()
    expected = metric(pred, gt)
    for dtype in (np.uint8, np.int32, np.int64, np.float32):
        assert metric(pred.astype(dtype), gt.astype(dtype)) == expected
    tensors = torch.from_numpy(pred), torch.from_numpy(gt)
    for convert in (lambda t: t, lambda t: 255 * t.byte(), lambda t: t.bfloat16(), lambda t: t.half()):
        assert metric(*map(convert, tensors)) == expected
    assert metric(tensors[0][None, None], gt[None]) == expected


@EVERY_MASK_METRIC
def test_ignored_pixels_are_background_in_both_masks(metric: Callable[..., Any]) -> None:
    pred, gt = masks()
    labels = gt.astype(np.uint8)
    labels[3:6] = 255
    pred[4] = True
    inside = np.ones_like(gt)
    inside[3:6] = False
    assert metric(pred, labels, ignore_index=255) == metric(pred & inside, gt & inside)
    assert metric(pred[None], torch.from_numpy(labels)[None], ignore_index=255) == metric(pred & inside, gt & inside)


@pytest.mark.parametrize("metric", [class_iou, mean_iou, *MASKS], ids=lambda metric: metric.__name__)
def test_masked_pixels_are_refused(metric: Callable[..., Any]) -> None:
    """NumPy would compute with the data below the mask."""
    pred, gt = masks()
    complete = np.ma.masked_equal(gt, 7)
    np.testing.assert_equal(metric(pred, complete), metric(pred, gt))
    with pytest.raises(InvalidInput) as error:
        metric(pred, np.ma.array(gt, mask=gt & pred))
    assert error.value.subject == "gt" and "gt.filled" in str(error.value.hint)


@pytest.mark.parametrize("metric", [class_iou, mean_iou, *MASKS], ids=lambda metric: metric.__name__)
@pytest.mark.parametrize("value", ["255", [255]])
def test_the_ignore_index_is_a_number(metric: Callable[..., Any], value: Any) -> None:
    """No pixel equals the text ``255``."""
    with pytest.raises(InvalidInput) as error:
        metric([[1, 1]], [[1, 255]], ignore_index=value)
    assert error.value.subject == "ignore_index"


def test_no_pixel_is_ignored_without_an_ignore_index() -> None:
    assert class_iou([0, 1, 1], [0, 1, 2], ignore_index=None).tolist() == [1.0, 0.5, 0.0]
    assert class_iou([0, 1], [0, 255], ignore_index=None)[[0, 255]].tolist() == [1.0, 0.0]


@EVERY_MASK_METRIC
def test_volumes_and_probabilities_are_refused(metric: Callable[..., Any]) -> None:
    for wrong in (np.zeros((2, 4, 4)), np.full((4, 4), 0.5)):
        with pytest.raises(InvalidInput) as error:
            metric(wrong, wrong)
        assert error.value.subject == "pred" and error.value.hint


@pytest.mark.parametrize("shape", [(40,), (6, 7), (2, 1, 6, 7)])
def test_iou_against_torchmetrics(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    pred, gt = torch.randint(0, 4, (2, *shape), generator=generator)
    gt[..., :2] = 255
    options = {"num_classes": 4, "ignore_index": 255}
    each = multiclass_jaccard_index(pred, gt, average="none", **options)
    np.testing.assert_allclose(class_iou(pred, gt), each, rtol=1e-6)
    expected = pytest.approx(each.mean().item(), rel=1e-6)
    assert mean_iou(pred, gt) == expected
    other = gt.masked_fill(gt == 255, -100)
    for same in (other.int(), other.float().numpy()):
        assert mean_iou(pred.to(torch.uint8), same, classes=4, ignore_index=-100) == expected


def test_255_is_a_class_if_another_value_is_ignored() -> None:
    gt = np.array([[0, 255, 255, 0, -1]])
    expected = np.full(256, np.nan)
    expected[[0, 255]] = 0.5, 0.0
    np.testing.assert_array_equal(class_iou(np.zeros_like(gt), gt, ignore_index=-1), expected)
    assert mean_iou(np.zeros_like(gt), gt, ignore_index=-1) == 0.25
    with pytest.raises(InvalidInput) as error:
        mean_iou(np.zeros_like(gt), gt, classes=2, ignore_index=-1)
    assert error.value.subject == "gt" and error.value.found == 255


def test_iou_of_more_than_256_classes() -> None:
    indices = [255, 1, 256, 255, -1]
    each = class_iou([255, 1, 256, -1, 1], indices, classes=300, ignore_index=-1)
    assert {index: each[index] for index in np.flatnonzero(~np.isnan(each))} == {1: 1.0, 255: 0.5, 256: 1.0}


def test_iou_of_absent_classes() -> None:
    np.testing.assert_array_equal(class_iou([0, 2], [0, 0], classes=4), [0.5, np.nan, np.nan, np.nan])


@pytest.mark.parametrize("metric", [class_iou, mean_iou, *MASKS], ids=lambda metric: metric.__name__)
@pytest.mark.parametrize("value", [255, 7])
def test_at_least_one_pixel_is_labelled(metric: Callable[..., Any], value: int) -> None:
    with pytest.raises(InvalidInput) as error:
        metric([[0, 1]], [[value, value]], ignore_index=value)
    assert error.value.subject == "gt"


def test_a_warning_for_masks_of_0_and_255() -> None:
    mask = 255 * masks()[1]
    with pytest.warns(OnlyBackground) as caught:
        mean_iou(mask, mask)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("metric", [class_iou, mean_iou, *MASKS], ids=lambda metric: metric.__name__)
@pytest.mark.parametrize("path", ["a.png", Path("a.png")])
def test_paths_are_refused(metric: Callable[..., Any], path: Any) -> None:
    with pytest.raises(InvalidInput) as error:
        metric(path, [[0, 1]])
    assert error.value.subject == "pred" and error.value.found == "a.png" and error.value.hint


def test_confusion_matrix_of_tensors_and_lists() -> None:
    expected = [[1, 1, 0], [0, 0, 1]]
    lists = [0, 1, 255], [0, 0, 1]
    for convert in (list, torch.tensor, lambda values: np.array(values, np.float32)):
        assert confusion_matrix(*map(convert, lists), 2).tolist() == expected


@pytest.mark.parametrize(
    ("prediction", "truth", "uncertain", "subject"),
    [
        ([0, 1], [0, 1, 1], "miss", "prediction and truth"),
        ([0, 1], [[0, 1]], "miss", "prediction and truth"),
        ([0, 1], [0, 1], "x", "uncertain"),
        ([0, 0.5], [0, 1], "miss", "prediction"),
        ([0, 1], [0, -1], "miss", "truth"),
        ("a.png", [0, 1], "miss", "prediction"),
    ],
)
def test_invalid_arguments_of_confusion_matrix(prediction: Any, truth: Any, uncertain: Any, subject: str) -> None:
    with pytest.raises(InvalidInput) as error:
        confusion_matrix(prediction, truth, 2, uncertain=uncertain)
    assert error.value.subject == subject


@pytest.mark.parametrize(
    ("pred", "gt", "classes", "subject"),
    [
        ([0, 3], [0, 1], 3, "pred"),
        ([0, 1], [0, -1], None, "gt"),
        ([0.5, 1], [0, 1], None, "pred"),
        ([0, 1], [0, 1, 1], None, "pred and gt"),
        ([0, np.inf], [0, 1], None, "pred"),
        ([0, 1], [0, 1], 2.0, "classes"),
        ([0, 1], [0, 1], 0, "classes"),
    ],
)
def test_invalid_class_indices(pred: list[float], gt: list[int], classes: Any, subject: str) -> None:
    with pytest.raises(InvalidInput) as error:
        mean_iou(pred, gt, classes=classes)
    assert error.value.subject == subject
