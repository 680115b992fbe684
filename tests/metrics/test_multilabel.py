from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import multilabel_average_precision, multilabel_f1_score

from wsss.metrics.multilabel import average_precision, multilabel_scores


@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 5), st.sampled_from([2, 5, 1000]))
def test_against_torchmetrics(seed: int, images: int, classes: int, levels: int) -> None:
    generator = np.random.default_rng(seed)
    probabilities = generator.integers(0, levels, (images, classes)) / levels  # few levels: many ties
    labels = generator.random((images, classes)) < 0.4
    labels[0] = True
    scores = multilabel_scores(probabilities, labels)
    given_to_them = torch.tensor(probabilities), torch.tensor(labels).long()
    if classes > 1:
        expected = multilabel_average_precision(*given_to_them, num_labels=classes, average="none")
        f1 = multilabel_f1_score(*given_to_them, num_labels=classes, average="macro")
        np.testing.assert_allclose(list(scores.average_precision.values()), expected, atol=1e-6)
        assert scores.mean_average_precision == pytest.approx(float(expected.mean()), abs=1e-6)
        assert scores.f1 == pytest.approx(float(f1), abs=1e-6)
    assert scores.absent == ()


def test_by_hand() -> None:
    labels = np.array([True, False, True, False])
    assert average_precision(np.array([0.9, 0.8, 0.7, 0.1]), labels) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.array([0.5, 0.5, 0.5, 0.5]), labels) == 0.5


def test_absent_classes_are_excluded_from_means() -> None:
    scores = multilabel_scores(np.array([[0.9, 0.9], [0.1, 0.9]]), np.array([[True, False], [False, False]]))
    assert (scores.mean_average_precision, scores.f1, scores.absent) == (1.0, 1.0, (1,))
    nothing = multilabel_scores(np.zeros((2, 2)), np.zeros((2, 2), bool))
    assert (nothing.mean_average_precision, nothing.f1, nothing.absent) == (None, None, (0, 1))
