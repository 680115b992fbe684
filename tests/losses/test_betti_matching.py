"""The loss against the matching itself, against finite differences, and against the references' published values."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shareddata import SHARED_DATA, needs_shared_data
from torch import Tensor
from torch.autograd import gradcheck

from wsss.losses.topological.betti_matching import BettiMatchingLoss
from wsss.topology import betti_matching


def term(**keys: Any) -> BettiMatchingLoss:
    """The term alone."""
    return BettiMatchingLoss(**{"base_weight": 0, "alpha": 1, "threads": 1, **keys})


def logits_of(probabilities: np.ndarray) -> Tensor:
    """Two channels whose softmax gives the foreground these probabilities, ``(B, H, W)``."""
    margin = torch.logit(torch.from_numpy(np.asarray(probabilities, np.float64)))
    return torch.stack([-0.3 * margin, 0.7 * margin], 1)


def case(seed: int = 0, classes: int = 2, batch: int = 2, size: tuple[int, int] = (7, 9)) -> tuple[Tensor, Tensor]:
    """Logits whose probabilities differ from pixel to pixel by more than a finite difference, and a random target."""
    random = np.random.default_rng(seed)
    count = batch * size[0] * size[1]
    # Evenly spaced margins between channels: with two channels, probabilities are about 1/count apart.
    margins = random.permutation(np.linspace(-2, 2, count)).reshape(batch, 1, *size)
    others = random.uniform(-1, 1, (batch, classes, *size))
    others[:, 1:] = others[:, :1] if classes == 2 else others[:, 1:]
    others[:, -1:] += margins
    return torch.from_numpy(others), torch.from_numpy(random.integers(0, max(2, classes), (batch, *size)))


OPTIONS = [
    {},
    {"frame": "own-max"},
    {"frame": "zero"},
    {"essential": "match"},
    {"essential": "match", "frame": "own-max"},
    {"filtration": "sublevel"},
    {"filtration": "sublevel", "essential": "match"},
    {"dimension_weights": [0.5, 2]},
    {"dimension_weights": [0, 1]},
]


@pytest.mark.parametrize("keys", OPTIONS, ids=str)
def test_value_is_the_mean_of_the_matchings_losses(keys: dict[str, Any]) -> None:
    logits, target = case()
    w0, w1 = keys.get("dimension_weights", (1, 1))
    options = {key: value for key, value in keys.items() if key != "dimension_weights"}
    result = [
        betti_matching(p, g == 1, **options)
        for p, g in zip(logits.softmax(1)[:, 1].numpy(), target.numpy(), strict=True)
    ]
    expected = np.mean([w0 * one.dim0.loss() + w1 * one.dim1.loss() for one in result])
    assert term(**keys)(logits, target).item() == pytest.approx(expected, rel=1e-12)


def test_both_filtrations_add_up() -> None:
    logits, target = case()
    parts = [term(filtration=name)(logits, target) for name in ("superlevel", "sublevel")]
    torch.testing.assert_close(term(filtration="bothlevel")(logits, target), parts[0] + parts[1])


@pytest.mark.parametrize(
    "keys", [*OPTIONS, {"filtration": "bothlevel"}, {"crop": 4}, {"crop": 3, "stride": 2}], ids=str
)
@pytest.mark.parametrize("classes", [1, 2, 3])
def test_gradient_against_finite_differences(keys: dict[str, Any], classes: int) -> None:
    logits, target = case(seed=3, classes=classes, batch=2 if classes == 1 else 1, size=(5, 5))
    target[0, :2, 1] = 255
    assert gradcheck(lambda x: term(**keys)(x, target), logits.requires_grad_(), eps=1e-6, atol=1e-7)


def test_gradient_with_background_and_skipped_classes() -> None:
    logits, target = case(seed=4, classes=4, size=(4, 5))
    target[0][target[0] == 2] = 0
    loss = term(background=True, absent="skip")
    assert gradcheck(lambda x: loss(x, target), logits.requires_grad_(), eps=1e-6, atol=1e-7)


@given(st.integers(0, 10_000), st.sampled_from([{}, {"frame": "own-max"}, {"essential": "match"}]))
@settings(max_examples=12)
def test_gradient_on_random_images(seed: int, keys: dict[str, Any]) -> None:
    logits, target = case(seed, batch=1, size=(6, 5))
    assert gradcheck(lambda x: term(**keys)(x, target), logits.requires_grad_(), eps=1e-6, atol=1e-7)


def test_gradient_reaches_birth_and_death_pixels_only() -> None:
    logits, target = case(batch=1, size=(12, 12))
    logits.requires_grad_()
    term()(logits, target).backward()
    result = betti_matching(logits.softmax(1)[0, 1].detach().numpy(), target[0].numpy() == 1)
    named = {
        tuple(pixel)
        for part in (result.dim0, result.dim1)
        for intervals in (part.matched_pred, part.unmatched_pred)
        for pixel in (*intervals.birth_pixels.tolist(), *intervals.death_pixels.tolist())
    }
    assert logits.grad is not None
    moved = {tuple(place) for place in logits.grad.abs().sum((0, 1)).nonzero().tolist()}
    assert moved and moved <= named


def test_multiclass_is_the_mean_of_one_against_the_rest() -> None:
    logits, target = case(classes=4)
    result = [
        betti_matching(p[c], g == c).loss()
        for p, g in zip(logits.softmax(1).numpy(), target.numpy(), strict=True)
        for c in range(4)
    ]
    by_class = np.reshape(result, (2, 4))
    assert term()(logits, target).item() == pytest.approx(by_class[:, 1:].mean(), rel=1e-12)
    assert term(background=True)(logits, target).item() == pytest.approx(by_class.mean(), rel=1e-12)


def test_absent_classes_are_skipped_or_counted() -> None:
    logits, target = case(classes=3)
    target[1][target[1] == 2] = 0
    result = {
        (image, c): betti_matching(logits.softmax(1)[image, c].numpy(), target[image].numpy() == c).loss()
        for image in (0, 1)
        for c in (1, 2)
    }
    assert term()(logits, target).item() == pytest.approx(np.mean(list(result.values())), rel=1e-12)
    del result[1, 2]
    assert term(absent="skip")(logits, target).item() == pytest.approx(np.mean(list(result.values())), rel=1e-12)
    nothing_shown = term(absent="skip")(logits.requires_grad_(), torch.zeros_like(target))
    nothing_shown.backward()
    assert nothing_shown.item() == 0 and logits.grad is not None and not logits.grad.any()


def test_windows_tile_the_image_and_keep_the_scale() -> None:
    logits, target = case(batch=1, size=(8, 8))
    p, g = logits.softmax(1)[0, 1].numpy(), target[0].numpy() == 1

    def window(top: int, left: int, side: int) -> float:
        cut = np.s_[top : top + side, left : left + side]
        return betti_matching(p[cut], g[cut]).loss()

    tiles = sum(window(top, left, 4) for top in (0, 4) for left in (0, 4))
    assert term(crop=4)(logits, target).item() == pytest.approx(tiles, rel=1e-12)
    overlapping = sum(window(top, left, 5) for top in (0, 3) for left in (0, 3)) * 64 / 100
    assert term(crop=5)(logits, target).item() == pytest.approx(overlapping, rel=1e-12)
    sparse = sum(window(top, left, 2) for top in (0, 5) for left in (0, 5)) * 64 / 16
    assert term(crop=2, stride=5)(logits, target).item() == pytest.approx(sparse, rel=1e-12)
    whole = betti_matching(p, g).loss()
    assert (
        term(crop=8)(logits, target).item() == term(crop=99)(logits, target).item() == pytest.approx(whole, rel=1e-12)
    )


def test_threads_change_nothing() -> None:
    logits, target = case(batch=5, size=(20, 20))
    grads = []
    for threads in (1, 3):
        x = logits.clone().requires_grad_()
        term(threads=threads)(x, target).backward()
        grads.append(x.grad)
    assert grads[0] is not None and torch.equal(grads[0], grads[1])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_logits_give_nan(value: float) -> None:
    logits, target = case()
    logits[0, :, 2, 2] = value
    assert torch.isnan(term()(logits, target))


def test_empty_labels_and_empty_predictions() -> None:
    logits, target = case(batch=1)
    nobody = torch.zeros_like(target)
    expected = betti_matching(logits.softmax(1)[0, 1].numpy(), np.zeros(target.shape[1:])).loss()
    assert term()(logits, nobody).item() == pytest.approx(expected, rel=1e-12)
    flat = torch.zeros(1, 2, 7, 9, requires_grad=True)
    value = term()(flat, nobody)
    value.backward()
    assert value.item() == 0 and flat.grad is not None and not flat.grad.any()


def test_descending_repairs_the_topology() -> None:
    """Gradient steps on free logits close a gap in a ring and remove a speck far from it, with the term alone."""
    target = torch.zeros(1, 16, 16, dtype=torch.int64)
    target[0, 3:12, 3:12] = 1
    target[0, 5:10, 5:10] = 0
    margin = torch.where(target == 1, 2.0, -2.0)
    margin[0, 7, 3:5] = -1  # a gap
    margin[0, 14, 14] = 1  # a speck
    margin.requires_grad_()
    loss = term(frame="own-max")
    optimiser = torch.optim.SGD([margin], lr=2)
    before = betti_matching(margin[0].detach().numpy() > 0, target[0].numpy() == 1, frame="own-max").error
    for _ in range(40):
        optimiser.zero_grad()
        loss(margin[:, None], target).backward()
        optimiser.step()
    after = betti_matching(margin[0].detach().numpy() > 0, target[0].numpy() == 1, frame="own-max").error
    assert before > 0 and after == 0


@needs_shared_data
@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({}, "cpp_superlevel_noframe"),
        ({"frame": "own-max"}, "cpp_superlevel_frame_of_max"),
        ({"frame": "zero"}, "cpp_superlevel_frame_of_zero"),
    ],
)
def test_binary_labels_of_the_fixtures_give_the_references_loss(keys: dict[str, Any], key: str) -> None:
    """The cases whose label is a mask and whose prediction lies strictly between 0 and 1 can be put as logits."""
    folder = SHARED_DATA / "fixtures"
    checked = 0
    for case in json.loads((folder / "betti_matching_reference.json").read_text())["cases"]:
        with np.load(folder / case["file"]) as file:
            pred, gt = file["input0"].astype(np.float64), file["input1"]
        if not np.isin(gt, (0, 1)).all() or pred.min() < 0 or pred.max() > 1:
            continue
        # 0 and 1 have no logit; a margin of ±1000 has a sigmoid of exactly 0 and 1
        margin = torch.logit(torch.from_numpy(pred)).clamp(-1000, 1000)
        logits = torch.stack([torch.zeros_like(margin), margin])[None]
        if not np.array_equal((logits[:, 1] - logits[:, 0]).sigmoid()[0].numpy(), pred):
            continue  # not to be had exactly, and the matching may depend on the last bit
        value = term(**keys)(logits, torch.from_numpy(gt.astype(np.int64))[None])
        assert value.item() == pytest.approx(case[key]["loss"], abs=1e-9), case["name"]
        checked += 1
    assert checked >= 10
