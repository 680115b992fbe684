"""Unknown labels are ignored by loss and scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from wsss.data.label_matrix import label_targets
from wsss.data.sample import Sample
from wsss.metrics.multilabel import multilabel_scores
from wsss.train.tasks.classification import soft_margin


def logits(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_targets(tmp_path) -> None:  # type: ignore[no-untyped-def]
    samples = [Sample("a", tmp_path, (1,), unknown=(3,)), Sample("b", tmp_path, ()), Sample("c", tmp_path, (2, 3))]
    expected = np.array([[1, 0, np.nan], [0, 0, 0], [0, 1, 1]], np.float32)
    np.testing.assert_array_equal(label_targets(samples, 3), expected)


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 5))
def test_the_loss_is_the_mean_over_known_labels(seed: int, images: int, classes: int) -> None:
    scores = logits(seed, images, classes).requires_grad_()
    labels = (logits(seed + 1, images, classes) > 0).double()
    known = logits(seed + 2, images, classes) > -0.5
    loss = soft_margin(scores, torch.where(known, labels, torch.nan))
    loss.backward()
    each = [
        -F.logsigmoid(scores[i, k] if labels[i, k] else -scores[i, k]).item()
        for i in range(images)
        for k in range(classes)
        if known[i, k]
    ]
    assert loss.item() == pytest.approx(np.mean(each) if each else 0.0)
    assert scores.grad is not None and not scores.grad[~known].any() and bool(scores.grad.isfinite().all())


def test_without_unknown_labels_it_equals_torch() -> None:
    scores, labels = logits(0, 8, 4).float(), (logits(1, 8, 4) > 0).float()
    assert torch.equal(soft_margin(scores, labels), F.multilabel_soft_margin_loss(scores, labels))


def test_scores_ignore_unknown_labels() -> None:
    probabilities = np.array([[0.9], [0.8], [0.1]])
    labels = np.array([[1], [np.nan], [0.0]])
    assert multilabel_scores(probabilities, labels) == multilabel_scores(probabilities[[0, 2]], labels[[0, 2]])
    assert multilabel_scores(probabilities, labels).mean_average_precision == 1.0
