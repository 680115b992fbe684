"""TOPO's margin and minimum distance against whole numbers: a distance is compared by its square, not by its root."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import label
from shareddata import SHARED_DATA, needs_shared_data
from torch import Tensor

from wsss.losses.topological.topo_window import TopoWindowLoss, signed_distances
from wsss.topology import critical_pixels, distance_transform

SQUARES = sorted({a * a + b * b for a in range(1, 12) for b in range(12)})
"""Squared distances between pixels."""

MARGINS = [(math.sqrt(n), n) for n in SQUARES[:18]] + [(k / 10, k * k // 100) for k in range(1, 54)]
"""Margins, and the largest whole number that their squares reach: a region's pixels have larger squared distances."""

FAR = [(math.sqrt(n), n) for n in SQUARES[:18]] + [(k / 10, -(-k * k // 100)) for k in range(2, 54)]
"""Minimum distances, and the smallest whole number that isn't below their squares."""

TERM = {"base_weight": 0, "alpha": 1, "beta": 1, "window": 16, "gaps": "close"}


def squares(structure: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Squared distances to the nearest pixel of the structure, in whole numbers, by brute force."""
    pixels, places = np.argwhere(structure), np.argwhere(np.ones(structure.shape, bool))
    return ((places[:, None] - pixels) ** 2).sum(-1).min(1).reshape(structure.shape)


def best_worst(values: NDArray[np.float64], allowed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return ``(n, n)``: the largest minimum of the values along any path of allowed pixels between two pixels."""
    columns = values.shape[1]
    count, flat = values.size, np.where(allowed, values, -np.inf).ravel()
    result = np.full((count, count), -np.inf)
    for p in range(count):
        for q in [p + 1] * ((p + 1) % columns > 0) + [p + columns] * (p + columns < count):
            result[p, q] = result[q, p] = min(flat[p], flat[q])
    for k in range(count):
        np.maximum(result, np.minimum(result[:, k, None], result[k]), out=result)
    return result


def expected(logits: Tensor, structure: NDArray[np.bool_], beyond: int, reach: int, keys: dict[str, Any]) -> float:
    """The term of one image in one window, pair by pair; a region lies beyond √``beyond``, far is √``reach``."""
    square, unit = squares(structure), keys["pixels_per_logit"]
    predicted = (logits[0, 0] - logits[0, 1]).numpy()
    regions = label(square > beyond)[0].ravel()
    true = np.minimum(np.sqrt(square), keys["d_max"]).ravel() / unit
    far = (square >= reach).ravel()
    across = best_worst(np.where(square > beyond, np.inf, predicted), np.ones(structure.shape, bool))
    between, within = [], []
    inside = {r: best_worst(predicted, (regions == r).reshape(structure.shape)) for r in np.unique(regions) if r}
    for p in np.flatnonzero(regions):
        for q in np.flatnonzero(regions)[np.flatnonzero(regions) > p]:
            if regions[p] != regions[q]:
                between.append(max(0.0, across[p, q]) ** 2)
            elif far[p] and far[q]:
                worst = inside[regions[p]][p, q]
                within.append(max(0.0, true[int(np.flatnonzero(predicted == worst)[0])] - worst) ** 2)
    return sum(float(np.mean(costs)) for costs in (between, within) if costs)


def case(seed: int, size: tuple[int, int] = (9, 10)) -> tuple[Tensor, Tensor]:
    random = np.random.default_rng(seed)
    structure = np.zeros(size, bool)
    structure[:, random.integers(3, 7)] = True
    structure[random.integers(0, size[0], 2), random.integers(0, size[1], 2)] = True
    logits = torch.from_numpy(random.uniform(-2, 1, (1, 2, *size)))
    return logits, torch.from_numpy(structure.astype(np.int64))[None]


@pytest.mark.parametrize(
    ("dtype", "unit"), [(torch.float32, 1), (torch.float32, 5), (torch.float32, 0.7), (torch.float64, 3)]
)
def test_margins_of_any_value(dtype: torch.dtype, unit: float) -> None:
    changed = 0
    for index, (margin, beyond) in enumerate(MARGINS):
        logits, target = case(index % 5)
        keys = {"margin": margin, "d_min": margin + 0.05, "d_max": 9, "pixels_per_logit": unit}
        reach = next(n for n in range(200) if n >= (margin + 0.05) ** 2)
        value = TopoWindowLoss(**TERM, **keys)(logits.to(dtype), target).item()
        expected_value = expected(logits.to(dtype).double(), target[0].numpy() == 1, beyond, reach, keys)
        assert value == pytest.approx(expected_value, rel=1e-5, abs=1e-7), margin
        changed += expected_value > 0
    assert changed > len(MARGINS) / 2


@pytest.mark.parametrize(
    ("dtype", "unit", "clipped"),
    [(torch.float32, 1, True), (torch.float32, 5, False), (torch.float32, 0.7, True), (torch.float64, 3, False)],
)
def test_minimum_distances_of_any_value(dtype: torch.dtype, unit: float, clipped: bool) -> None:
    changed = 0
    for index, (far, reach) in enumerate(FAR):
        logits, target = case(index % 5)
        keys = {"margin": 0.1, "d_min": far, "d_max": far if clipped else 9, "pixels_per_logit": unit}
        value = TopoWindowLoss(**TERM, **keys)(logits.to(dtype), target).item()
        expected_value = expected(logits.to(dtype).double(), target[0].numpy() == 1, 0, reach, keys)
        assert value == pytest.approx(expected_value, rel=1e-5, abs=1e-7), far
        changed += expected_value > 0
    assert changed > len(FAR) / 2


@pytest.mark.parametrize("n", SQUARES)
def test_float32_distances_meet_margins_of_the_same_root(n: int) -> None:
    """Users pass the float32 distances of `distance_transform` to `critical_pixels`."""
    structure = np.zeros((20, 20), bool)
    structure[0, 0] = True
    true = distance_transform(~structure)
    exact = squares(structure)
    predicted = np.random.default_rng(n).uniform(0, 1, true.shape)
    half = {"margin": math.sqrt(n + 0.5), "min_distance": math.sqrt(n + 0.5)}
    assert (exact == n).any()
    for pixel, expected_value in zip(
        critical_pixels(predicted, true, window=20, margin=math.sqrt(n), min_distance=math.sqrt(n + 0.5)),
        critical_pixels(predicted, true, window=20, **half),
        strict=True,
    ):
        np.testing.assert_array_equal(pixel, expected_value)
    at, below = (
        critical_pixels(predicted, true, window=20, margin=0.1, min_distance=far).within
        for far in (math.sqrt(n), math.sqrt(n - 0.5))
    )
    np.testing.assert_array_equal(at, below)


def test_signed_distances_are_roots_of_whole_numbers() -> None:
    structure = np.random.default_rng(0).random((30, 33)) < 0.05
    result = signed_distances(torch.from_numpy(structure)[None, None], 50.0)[0, 0].numpy()
    assert result.dtype == np.float64
    outside = np.where(structure, 0, squares(structure))
    inside = np.where(structure, squares(~structure), 0)
    np.testing.assert_array_equal(result, np.sqrt(inside) - np.sqrt(outside))


@needs_shared_data
def test_a_margin_of_3_pixels_is_exact_in_float32() -> None:
    result = np.load(SHARED_DATA / "cases" / "trust" / "topo_margin.npz")
    logits, target = torch.from_numpy(result["logits"]), torch.from_numpy(result["target"])
    values = [
        TopoWindowLoss(base_weight=0, alpha=1, margin=margin)(logits.to(dtype), target).item()
        for margin in (3, math.sqrt(9.5))
        for dtype in (torch.float32, torch.float64)
    ]
    assert values == pytest.approx([values[0]] * 4, rel=1e-5)
