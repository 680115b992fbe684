"""The loss of boundary networks against loops over all pairs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from wsss.refine.pixel_pairs import steps
from wsss.train.tasks.affinity_training import affinity_loss, at_centres


def by_loops(logits: Tensor, labels: Tensor, radius: int) -> float:
    boundary = logits.double().sigmoid()
    losses: dict[str, list[float]] = {"object": [], "background": [], "different": []}
    images, height, width = logits.shape
    for image in range(images):
        for y in range(height):
            for x in range(width):
                for step in steps(radius):
                    down, right = step.offset
                    if not (0 <= y + down < height and 0 <= x + right < width):
                        continue
                    first, other = int(labels[image, y, x]), int(labels[image, y + down, x + right])
                    if 255 in (first, other):
                        continue
                    affinity = 1 - max(float(boundary[image, y + dy, x + dx]) for dy, dx in step.path)
                    if first != other:
                        losses["different"].append(-math.log(1 - affinity))
                    else:
                        losses["object" if first else "background"].append(-math.log(affinity))
    means = {kind: sum(values) / max(1, len(values)) for kind, values in losses.items()}
    return means["object"] / 2 + means["background"] / 2 + means["different"]


@pytest.mark.parametrize("values", [(0, 1, 2, 255), (0, 255), (255,), (1, 2)])
def test_the_loss_equals_loops(values: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 6, 7, generator=generator)
    labels = torch.tensor(values)[torch.randint(len(values), (2, 6, 7), generator=generator)]
    assert float(affinity_loss(logits, labels, 4)) == pytest.approx(by_loops(logits, labels, 4), rel=1e-5)


def test_unknown_pixels_have_no_gradient_of_their_own() -> None:
    logits = torch.zeros(1, 5, 5, requires_grad=True)
    affinity_loss(logits, torch.full((1, 5, 5), 255), 5).backward()
    assert logits.grad is not None and (logits.grad == 0).all()


def test_large_logits_stay_finite() -> None:
    logits = torch.tensor([[[500.0, -500.0, 500.0]]], requires_grad=True)
    loss = affinity_loss(logits, torch.tensor([[[0, 0, 1]]]), 2)
    loss.backward()
    assert logits.grad is not None and bool(logits.grad.isfinite().all()) and float(loss.detach()) == 250


def test_labels_at_the_centres_of_elements() -> None:
    labels = torch.arange(8)[None, :, None] * 10 + torch.arange(10)[None, None]
    assert at_centres(labels, (2, 3))[0].tolist() == [[21, 25, 28], [61, 65, 68]]
