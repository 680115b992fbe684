from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from learning import random_classifier
from torch import Tensor

from wsss.models.attribution.advcam import ascend_gradient, ascent
from wsss.models.attribution.config import AdvCamConfig
from wsss.models.attribution.gradients import frozen
from wsss.models.attribution.maps import attribution_maps
from wsss.models.attribution.multiscale_cam import class_maps
from wsss.models.classifier import CAMClassifier, build_classifier
from wsss.models.config import ClassifierConfig

CLASSES = torch.tensor([2, 0])


@pytest.fixture(scope="module", params=["resnet18", "mobilenet_v2"])
def model(request: pytest.FixtureRequest) -> CAMClassifier:
    return random_classifier(request.param)


def images(low: float = 0.2, high: float = 0.8) -> Tensor:
    return low + (high - low) * torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))


def settings(**keys: float) -> dict[str, Any]:
    return AdvCamConfig.model_validate(keys).model_dump(exclude={"name"})


def climbed(model: CAMClassifier, steps: int, start: Tensor | None = None, **keys: float) -> tuple[Tensor, Tensor]:
    with frozen(model):
        return ascend_gradient(model, images() if start is None else start, CLASSES, **settings(steps=steps, **keys))


@torch.no_grad()
def own_maps(model: CAMClassifier, batch: Tensor) -> Tensor:
    maps = model.maps(model.features(batch)).relu()
    return torch.stack([maps[0, 2], maps[1, 0]])


def test_without_steps_it_is_the_plain_map(model: CAMClassifier) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 48, 36, 3), dtype=np.uint8)
    selected = torch.tensor([[True, False, True], [False, True, False]])
    keys = {"scales": (1.0, 0.5), "flip": True, "stride": 4}
    plain = class_maps(model, pictures, **keys).maps  # type: ignore[arg-type]
    maps = attribution_maps(model, pictures, selected, AdvCamConfig(steps=0), **keys)  # type: ignore[arg-type]
    torch.testing.assert_close(maps[selected], plain[selected], rtol=1e-4, atol=1e-4)


def test_maps_of_all_iterates_are_summed(model: CAMClassifier) -> None:
    iterates = [climbed(model, steps)[1] for steps in range(4)]
    torch.testing.assert_close(iterates[0], images())
    expected = sum(own_maps(model, iterate) for iterate in iterates)
    torch.testing.assert_close(climbed(model, 3)[0], expected, rtol=1e-4, atol=1e-4)


def test_the_objective_increases_with_steps(model: CAMClassifier) -> None:
    def objective(batch: Tensor) -> Tensor:
        with torch.no_grad():
            scores = model.pooling(model.maps(model.features(batch)).relu())
        return 2 * scores.gather(1, CLASSES[:, None])[:, 0] - scores.sum(1)

    values = [objective(climbed(model, steps, step_size=0.02, regularisation=0.0)[1]) for steps in (0, 2, 5, 10)]
    for before, after in pairwise(values):
        assert (after > before).all()


def test_a_step_is_along_the_gradient_and_bounded(model: CAMClassifier) -> None:
    model, start = copy.deepcopy(model).double(), images().double()
    _, after = climbed(model, 1, start, step_size=0.05)
    change = (after - start) / model.normalise.std
    torch.testing.assert_close(change.abs().amax((1, 2, 3)), torch.full((2,), 0.05, dtype=torch.float64))
    # Reference: the gradient with respect to one normalised image at a time.
    for index, chosen in enumerate(CLASSES.tolist()):
        normalised = model.normalise(start[index : index + 1]).requires_grad_()
        trunk = model.backbone
        maps = torch.relu(model.head(trunk.last(trunk.high(trunk.low(normalised)))))
        scores = maps.mean((2, 3))[0]
        (scores[chosen] - sum(scores[k] for k in range(3) if k != chosen)).backward()
        assert normalised.grad is not None
        expected = 0.05 * normalised.grad[0] / normalised.grad.abs().max()
        torch.testing.assert_close(change[index], expected)


def test_values_stay_in_the_range_of_pixels(model: CAMClassifier) -> None:
    _, after = climbed(model, 5, images(0.0, 1.0), step_size=2.0)
    assert after.min() == 0
    assert after.max() == 1


def test_zero_gradients_leave_the_image_unchanged() -> None:
    config = ClassifierConfig.model_validate({"backbone": {"name": "resnet18", "weights": "none"}})
    model = build_classifier(config, 3).eval()
    with torch.no_grad():
        model.head.weight.copy_(-model.head.weight.abs())
    total, after = climbed(model, 3)
    assert not total.any()
    assert torch.equal(after, images())


def test_objective_by_hand() -> None:
    scores = torch.tensor([[1.0, 4.0, 0.5]])
    own = torch.tensor([[[8.0, 5.0], [4.0, 0.0]]])
    first = torch.tensor([[[6.0, 5.5], [0.0, 3.0]]])
    for chosen, regularisation, expected in ((1, 7.0, 4 - 1.5 - 7 * 2.5 / 4), (0, 0.0, 1 - 4.5)):
        # threshold 4: the first row, changed by 2 and by 0.5
        value = ascent(scores, torch.tensor([chosen]), own, first, regularisation=regularisation, threshold=0.5)
        assert value.item() == pytest.approx(expected)


@pytest.mark.slow
def test_regularisation_preserves_high_regions(model: CAMClassifier) -> None:
    first = own_maps(model, images())

    def change_of_high(regularisation: float) -> Tensor:
        last = own_maps(model, climbed(model, 10, regularisation=regularisation)[1])
        high = first > 0.5 * first.amax((1, 2), keepdim=True)
        return ((last - first).abs() * high).mean((1, 2))

    assert (change_of_high(50.0) < change_of_high(0.0)).all()


def test_networks_that_normalise_by_image_statistics() -> None:
    torch.manual_seed(0)
    model = build_classifier(ClassifierConfig.model_validate({"convnet": {}}), 3).eval()
    start = images()
    _, end = climbed(model, 3, start)
    change = (end - start).abs().amax((1, 2, 3))
    assert (change > 0).all()
    assert (change <= 3 * 0.08 * start.std((2, 3), correction=0).amax(1) * 1.1).all()
