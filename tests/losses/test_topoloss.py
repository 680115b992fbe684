"""TopoLoss against gudhi's persistence with an assignment solver, and finite differences."""

from __future__ import annotations

from typing import Any

import gudhi
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.autograd import gradcheck

from wsss.losses.topological.topoloss import TopoLoss, diagram_distance
from wsss.topology import Intervals


def term(**keys: Any) -> TopoLoss:
    """The term alone, all of it."""
    return TopoLoss(**{"base_weight": 0, "alpha": 1, "min_persistence": 0, "frame": "none", "threads": 1, **keys})


def case(seed: int = 0, size: tuple[int, int] = (9, 11), classes: int = 2) -> tuple[Tensor, Tensor]:
    """Logits whose foreground probabilities all differ by more than a finite difference, and a random target."""
    random = np.random.default_rng(seed)
    count = 2 * size[0] * size[1]
    logits = np.zeros((2, classes, *size))
    logits[:, -1] = random.permutation(np.linspace(-2, 2, count)).reshape(2, *size)
    return torch.from_numpy(logits), torch.from_numpy(random.integers(0, classes, (2, *size)))


def gudhi_diagram(image: NDArray[np.float64], dimension: int) -> NDArray[np.float64]:
    """Births and deaths ``(n, 2)`` of the superlevel filtration, without the component that never dies."""
    complex_ = gudhi.CubicalComplex(vertices=-image)
    complex_.compute_persistence()
    result = -complex_.persistence_intervals_in_dimension(dimension)
    return result[np.isfinite(result).all(1)].reshape(-1, 2)


def assigned(found: NDArray[np.float64], count: int) -> float:
    """The cheapest matching of all intervals with ``count`` (1, 0), as many as possible, or else the diagonal."""
    corner = (1 - found[:, 0]) ** 2 + found[:, 1] ** 2
    diagonal = (found[:, 0] - found[:, 1]) ** 2 / 2
    missing = max(0, count - len(found))
    count -= missing
    if not len(found):
        return missing / 2
    costs = np.stack([corner] * count + [diagonal] * (len(found) - count), 1)
    return float(costs[linear_sum_assignment(costs)].sum()) + missing / 2


@pytest.mark.parametrize("patch", [4, 50])
@pytest.mark.parametrize("weights", [(1, 1), (1, 0), (0.5, 2)])
def test_value_from_gudhis_diagrams_and_an_assignment(patch: int, weights: tuple[float, float]) -> None:
    logits, target = case()
    expected = 0.0
    for p, g in zip(logits.softmax(1)[:, 1].numpy(), (target == 1).double().numpy(), strict=True):
        for top in range(0, 9, patch):
            for left in range(0, 11, patch):
                cut = np.s_[top : top + patch, left : left + patch]
                for dimension in (0, 1):
                    count = len(gudhi_diagram(g[cut], dimension))
                    expected += weights[dimension] * assigned(gudhi_diagram(p[cut], dimension), count)
    value = term(patch=patch, dimension_weights=weights)(logits, target)
    assert value.item() == pytest.approx(expected / target.numel(), rel=1e-9)


def test_a_frame_of_foreground_surrounds_each_patch() -> None:
    logits, target = case()
    expected = 0.0
    for p, g in zip(logits.softmax(1)[:, 1].numpy(), (target == 1).double().numpy(), strict=True):
        for rows in (slice(0, 6), slice(6, 9)):
            for columns in (slice(0, 6), slice(6, 11)):
                framed = [np.pad(one[rows, columns], 1, constant_values=one[rows, columns].max()) for one in (p, g)]
                expected += sum(assigned(gudhi_diagram(framed[0], k), len(gudhi_diagram(framed[1], k))) for k in (0, 1))
    value = term(patch=6, frame="own-max")(logits, target)
    assert value.item() == pytest.approx(expected / target.numel(), rel=1e-9)


@given(st.integers(0, 10_000), st.integers(0, 9), st.integers(0, 12))
@settings(max_examples=60)
def test_the_matching_of_diagrams_is_optimal(seed: int, intervals: int, count: int) -> None:
    result = np.sort(np.random.default_rng(seed).random((intervals, 2)), 1)[:, ::-1]
    cells = np.zeros(intervals, np.int64)
    value, by_births, by_deaths = diagram_distance(Intervals(result[:, 0], result[:, 1], cells, cells, 1), count)
    assert value == pytest.approx(assigned(result, count))
    for i in range(intervals):
        for place, slope in ((0, by_births[i]), (1, by_deaths[i])):
            moved = result.copy()
            moved[i, place] += 1e-7
            other = diagram_distance(Intervals(moved[:, 0], moved[:, 1], cells, cells, 1), count)[0]
            assert (other - value) / 1e-7 == pytest.approx(slope, abs=1e-5)


@pytest.mark.parametrize("keys", [{}, {"patch": 4}, {"frame": "own-max"}, {"frame": "zero"}], ids=str)
@pytest.mark.parametrize("classes", [1, 2, 3])
@pytest.mark.slow
def test_gradient_against_finite_differences(keys: dict[str, Any], classes: int) -> None:
    logits, target = case(seed=3, size=(5, 6), classes=max(2, classes))
    logits = logits[:, -1:] if classes == 1 else logits
    target[0, :2, 1] = 255
    assert gradcheck(lambda x: term(**keys)(x, target), logits.requires_grad_(), eps=1e-6, atol=1e-8)


def test_the_gradient_of_each_patch_is_inside_it() -> None:
    """The published code loses the offset of the patch."""
    target = torch.zeros(1, 30, 30, dtype=torch.int64)
    margin = torch.full((1, 1, 30, 30), -4.0)
    margin[0, 0, 23, 27] = margin[0, 0, 27, 23] = 1.0  # two specks of which one is too many, in the last patch
    margin[0, 0, 21, 21] = 3.0
    margin.requires_grad_()
    term(patch=10)(margin, target).backward()
    assert margin.grad is not None
    assert margin.grad[0, 0, 23, 27] > 0 and margin.grad[0, 0, 27, 23] > 0
    assert set(map(tuple, margin.grad[0, 0].nonzero().tolist())) <= {
        (r, c) for r in range(20, 30) for c in range(20, 30)
    }


def test_short_intervals_stay() -> None:
    target = torch.zeros(1, 1, 5, dtype=torch.int64)
    probabilities = torch.tensor([0.9, 0.2, 0.22, 0.2, 0.6], dtype=torch.float64)
    logits = torch.logit(probabilities).view(1, 1, 1, 5)
    assert term()(logits, target).item() == pytest.approx((0.4**2 + 0.02**2) / 2 / 5)
    assert term(min_persistence=0.03)(logits, target).item() == pytest.approx(0.4**2 / 2 / 5)


@pytest.mark.parametrize("frame", ["none", "own-max"])
def test_a_perfect_prediction_has_zero_loss(frame: str) -> None:
    target = (torch.rand(2, 40, 40, generator=torch.Generator().manual_seed(0)) > 0.5).long()
    margin = torch.where(target == 1, 40.0, -40.0).unsqueeze(1).requires_grad_()
    value = term(frame=frame, patch=16)(margin, target)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-12)
    assert margin.grad is not None and margin.grad.abs().max() < 1e-12


def test_ignored_pixels_are_background_in_both() -> None:
    logits, target = case(size=(12, 12))
    target[:, 3:6] = 255
    logits.requires_grad_()
    value = term(patch=5)(logits, target)
    value.backward()
    assert logits.grad is not None and not logits.grad[:, :, 3:6].any() and logits.grad.any()
    inside = torch.where((target == 255).unsqueeze(1), torch.tensor([1e3, -1e3]).view(1, 2, 1, 1).double(), logits)
    assert term(patch=5)(inside, target.where(target < 255, 0)).item() == pytest.approx(value.item())


@pytest.mark.parametrize("value", [0, 1, 255])
@pytest.mark.parametrize("flat", [True, False])
def test_masks_of_one_value_give_numbers(value: int, flat: bool) -> None:
    logits = (torch.zeros(2, 2, 12, 12) if flat else torch.randn(2, 2, 12, 12)).requires_grad_()
    loss = term(patch=5)(logits, torch.full((2, 12, 12), value))
    loss.backward()
    assert torch.isfinite(loss) and logits.grad is not None and torch.isfinite(logits.grad).all()
    assert (loss.item() == 0) == (flat or value == 255)


def test_non_finite_logits_give_nan() -> None:
    logits, target = case()
    logits[0, :, 2, 2] = float("nan")
    assert torch.isnan(term()(logits, target))


def test_threads_change_nothing_and_mixed_precision_works() -> None:
    logits, target = case(size=(20, 20))
    assert term(threads=1)(logits, target).item() == term(threads=3)(logits, target).item()
    half = logits.to(torch.bfloat16).requires_grad_()
    value = TopoLoss()(half, target)
    value.backward()
    assert value.dtype == torch.float32 and half.grad is not None and torch.isfinite(half.grad).all()
