"""TOPO: the term pair by pair, its gradient, gaps and false walls; distances against SciPy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from scipy.ndimage import distance_transform_edt, gaussian_filter, label
from shareddata import SHARED_DATA, needs_shared_data
from torch import Tensor
from torch.autograd import gradcheck

from wsss.losses.config import TopoConfig
from wsss.losses.term import log_odds
from wsss.losses.topological.topo_window import TopoWindowLoss, signed_distances

SMALL = {"margin": 0.5, "d_min": 1.2, "d_max": 4, "pixels_per_logit": 2}
"""Distances for small images."""


def loss(**keys: Any) -> TopoWindowLoss:
    return TopoWindowLoss(**{"threads": 1, **keys})


def term(**keys: Any) -> TopoWindowLoss:
    """The term alone."""
    return loss(**{"base_weight": 0, "alpha": 1, **keys})


def walls(height: int = 48, width: int = 48) -> Tensor:
    """A cross of two walls, three pixels wide, ``(1, H, W)``."""
    target = torch.zeros(1, height, width, dtype=torch.int64)
    target[0, height // 2 - 1 : height // 2 + 2] = 1
    target[0, :, width // 2 - 1 : width // 2 + 2] = 1
    return target


def perfect(target: Tensor, config: TopoConfig) -> Tensor:
    """Foreground logits ``(B, 1, H, W)`` that are the signed distance."""
    return signed_distances((target == 1).unsqueeze(1), config.d_max) / config.pixels_per_logit


def case(seed: int, classes: int = 2, size: tuple[int, int] = (5, 6)) -> tuple[Tensor, Tensor]:
    random = np.random.default_rng(seed)
    logits = torch.from_numpy(random.uniform(-1.5, 0.5, (2, classes, *size)))
    return logits, torch.from_numpy(
        random.choice(classes, (2, *size), p=[0.75] + [0.25 / (classes - 1)] * (classes - 1))
    )


def paths(values: np.ndarray, allowed: np.ndarray, p: int, q: int) -> tuple[float, int]:
    """Return the smallest value, and its pixel, on the best path: the last of the values that a flood needs."""
    flat, columns = values.ravel(), values.shape[1]
    for threshold in np.sort(flat)[::-1]:
        parts = label((values >= threshold) & allowed)[0].ravel()
        if parts[p] and parts[p] == parts[q]:
            return float(threshold), int(np.flatnonzero(flat == threshold)[0])
    raise AssertionError(f"no path from {p} to {q} in {columns} columns")


def reference(logits: Tensor, target: Tensor, beta: float, gaps: str) -> float:
    """The term of two classes for a single window, pair by pair."""
    unit = SMALL["pixels_per_logit"]
    total = 0.0
    for image, mask in enumerate((target == 1).numpy()):
        true = distance_transform_edt(~mask).clip(max=SMALL["d_max"])
        predicted = (logits[image, 0] - logits[image, 1]).numpy()
        regions, background = label(true > SMALL["margin"])[0].ravel(), label(~mask)[0].ravel()
        costs: dict[str, list[float]] = {"between": [], "within": []}
        barrier = np.where(true > SMALL["margin"], 1e9, predicted)
        for p, q in itertools.combinations(np.flatnonzero(regions), 2):
            if (background if gaps == "keep" else regions)[p] != (background if gaps == "keep" else regions)[q]:
                costs["between"].append(max(0.0, paths(barrier, np.ones_like(mask), p, q)[0]) ** 2)
            elif regions[p] == regions[q] and true.ravel()[p] >= SMALL["d_min"] and true.ravel()[q] >= SMALL["d_min"]:
                inside = (regions == regions[p]).reshape(mask.shape)
                value, pixel = paths(np.where(inside, predicted, -9), inside, p, q)
                costs["within"].append(max(0.0, true.ravel()[pixel] / unit - value) ** 2)
        total += (np.mean(costs["between"]) if costs["between"] else 0) + beta * (
            np.mean(costs["within"]) if costs["within"] else 0
        )
    return total / len(target)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("gaps", ["keep", "close"])
def test_every_pair(seed: int, gaps: str) -> None:
    logits, target = case(seed)
    value = term(beta=0.3, gaps=gaps, **SMALL)(logits, target)
    assert value.item() == pytest.approx(reference(logits, target, 0.3, gaps), rel=1e-6)


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_gradient_against_finite_differences(classes: int) -> None:
    for seed, beta in ((0, 1), (1, 0)):
        logits, target = case(seed, max(2, classes))
        target[0, :2, 1] = 255
        logits = logits[:, :1] if classes == 1 else logits
        whole = loss(alpha=0.7, beta=beta, window=4, **SMALL)
        assert gradcheck(lambda x, f=whole, t=target: f(x, t), logits.requires_grad_(), eps=1e-6, atol=1e-7)


def test_base_is_the_error_of_distances_in_logits() -> None:
    logits, target = case(1)
    target[0, 0] = 255
    d_max, unit = SMALL["d_max"], SMALL["pixels_per_logit"]
    wrong = []
    for image, mask in enumerate((target == 1).numpy()):
        signed = distance_transform_edt(mask) - distance_transform_edt(~mask)
        difference = (logits[image, 1] - logits[image, 0]).numpy() - signed.clip(-d_max, d_max) / unit
        wrong.append(difference[target[image].numpy() != 255] ** 2)
    assert loss(alpha=0, **SMALL)(logits, target).item() == pytest.approx(np.concatenate(wrong).mean())


def test_a_perfect_prediction_has_zero_loss_and_its_argmax_is_the_mask() -> None:
    target, whole = walls(), loss(alpha=1, beta=1)
    margin = perfect(target, whole.config).requires_grad_()
    value = whole(margin, target)
    value.backward()
    assert value.item() == 0 and margin.grad is not None and not margin.grad.any()
    assert torch.equal(torch.cat([torch.zeros_like(margin), margin], 1).argmax(1), target)


def gap(width: int) -> Tensor:
    """A wall with a gap, ``(1, 64, 64)``."""
    target = torch.zeros(1, 64, 64, dtype=torch.int64)
    target[:, :, 30:34] = 1
    target[:, 20 : 20 + width, 30:34] = 0
    return target


def blobs(seed: int) -> Tensor:
    """Smooth random foreground with gaps of all widths, ``(1, 96, 96)``."""
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((96, 96)), 3)
    return torch.from_numpy((noise > np.quantile(noise, 0.7)).astype(np.int64))[None]


def sure(target: Tensor) -> Tensor:
    """Logits ``(B, 2, H, W)`` of ±10 whose argmax is the mask."""
    return torch.stack([10.0 - 20 * target, 20.0 * target - 10], 1)


@pytest.mark.parametrize("width", [1, 2, 4, 6, 8, 10, 12])
def test_gaps_of_the_label_are_not_penalised(width: int) -> None:
    target, whole = gap(width), term(beta=1)
    for logits in (sure(target), perfect(target, whole.config)):
        assert whole(logits.float(), target).item() == pytest.approx(0, abs=1e-9)
    assert whole(sure(gap(width + 8)).float(), gap(0)).item() > 100, "one that the label doesn't have, is"
    closing = term(beta=1, gaps="close")(sure(target).float(), target).item()
    assert (closing > 100) == (width <= 10), "as the authors have it"


@pytest.mark.parametrize("seed", range(5))
def test_correct_blobs_have_zero_loss(seed: int) -> None:
    target, whole = blobs(seed), term(beta=1)
    for logits in (sure(target), perfect(target, whole.config)):
        assert whole(logits.float(), target).item() == pytest.approx(0, abs=1e-9)


@needs_shared_data
@pytest.mark.parametrize("kind", ["accurate", "noisy", "pseudo"])
def test_correct_real_labels_have_zero_loss(kind: str) -> None:
    folder = SHARED_DATA / "topomortar" / "dataset" / "train" / kind
    paths = sorted(folder.glob("*.png"))[:15]
    assert paths
    for path in paths:
        target = torch.from_numpy((np.asarray(Image.open(path)) > 0).astype(np.int64))[None, 128:384, 128:384]
        whole = term(beta=1)
        for logits in (sure(target), perfect(target, whole.config)):
            assert whole(logits.float(), target).item() == pytest.approx(0, abs=1e-9), path.name


def broken(config: TopoConfig) -> Tensor:
    """What would be the perfect prediction of `walls` with a gap in the left arm and a false wall above it."""
    other = walls()
    other[0, 23:26, 10:14] = 0
    other[0, 10, :18] = 1
    return perfect(other, config)


def test_a_gap_is_closed_and_a_false_wall_opened() -> None:
    target, whole = walls(), term(beta=1)
    margin = broken(whole.config)
    margin[0, 0, 10, :18] -= 0.3 + torch.arange(18) / 100  # not quite closed
    margin.requires_grad_()
    whole(margin, target).backward()
    assert margin.grad is not None
    gap, false_wall, moved = np.s_[18:31, 9:15], np.s_[8:13, :18], margin.grad[0, 0]
    assert (moved[gap] <= 0).all() and moved[gap].any(), "the margin rises in the gap"
    assert (moved[false_wall] >= 0).all() and moved[false_wall].any(), "and falls on the false wall"
    moved[gap] = 0
    assert (moved >= 0).all(), "nothing else is drawn to the structure"


def test_descending_closes_the_gap() -> None:
    target, only_term = walls(), term(beta=0)
    margin = broken(only_term.config).requires_grad_()
    optimiser = torch.optim.SGD([margin], lr=2)
    before = only_term(margin, target).item()
    for _ in range(200):
        optimiser.zero_grad()
        only_term(margin, target).backward()
        optimiser.step()
    assert only_term(margin, target).item() < 0.05 * before


@pytest.mark.parametrize("value", [0, 1, 255])
def test_masks_of_one_value_give_numbers(value: int) -> None:
    logits = torch.randn(2, 2, 24, 24, generator=torch.Generator().manual_seed(0)).requires_grad_()
    result = loss()(logits, torch.full((2, 24, 24), value))
    result.backward()
    assert torch.isfinite(result) and logits.grad is not None and torch.isfinite(logits.grad).all()
    assert (result.item() == 0) == (value == 255) == (not logits.grad.any())


def test_ignored_pixels_have_no_gradient() -> None:
    logits, target = torch.randn(1, 2, 48, 48, requires_grad=True), walls()
    target[0, 10:30, 5:15] = 255
    loss(alpha=1)(logits, target).backward()
    assert logits.grad is not None and not logits.grad[:, :, 10:30, 5:15].any() and logits.grad.any()


def test_log_odds() -> None:
    logits = torch.randn(2, 4, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(log_odds(logits), torch.logit(logits.softmax(1)[:, 1:]))
    torch.testing.assert_close(log_odds(logits[:, :2]), torch.logit(logits[:, :2].softmax(1)[:, 1:]))


def test_signed_distances_are_scipys() -> None:
    labels = torch.rand(2, 3, 30, 40, generator=torch.Generator().manual_seed(0)) > 0.9
    labels[0, 1], labels[1, 2] = False, True
    result = signed_distances(labels, 6.0)
    for distances, mask in zip(result.flatten(0, 1).numpy(), labels.flatten(0, 1).numpy(), strict=True):
        expected = np.full(mask.shape, 6.0 if mask.any() else -6.0)
        if mask.any() and not mask.all():
            expected = (distance_transform_edt(mask) - distance_transform_edt(~mask)).clip(-6, 6)
        np.testing.assert_allclose(distances, expected, atol=1e-5)


def test_half_precision_threads_and_wrong_distances() -> None:
    logits, target = torch.randn(2, 2, 48, 48), walls().repeat(2, 1, 1)
    assert loss(threads=1)(logits, target).item() == loss(threads=2)(logits, target).item()
    half = logits.half().requires_grad_()
    value = loss()(half, target)
    value.backward()
    assert value.dtype == torch.float32 and half.grad is not None and torch.isfinite(half.grad).all()
    for wrong in ({"margin": 10}, {"d_min": 30}, {"d_max": 5}):
        with pytest.raises(ValidationError, match="margin < d_min"):
            TopoConfig.model_validate(wrong)
