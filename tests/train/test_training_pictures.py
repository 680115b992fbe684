from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from onethread import one_thread as one_thread
from torch import Tensor, nn
from toytraining import train

from wsss.data.classes import Classes
from wsss.models.classifier import build_classifier
from wsss.models.config import BackboneConfig, ClassifierConfig
from wsss.train.training_pictures import COUNT, map_pictures, segmentation_pictures
from wsss.viz.drawing.palette import class_colours

CLASSES = Classes(("background", "cat", "dog"), ((0,), (1,), (2,)))


class Halves:
    """Images with a dark left half and a bright right half of class 1."""

    def __init__(self, *, soft: bool = False, count: int = 6) -> None:
        self.soft, self.count = soft, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, item: tuple[int, int]) -> tuple[Tensor, Tensor]:
        assert item[1] == 0
        image = torch.zeros(3, 32, 32, dtype=torch.uint8)
        image[:, :, 16:] = 200
        mask = (image[0] > 0).long()
        target = nn.functional.one_hot(mask, 3).permute(2, 0, 1).float() if self.soft else mask
        return image, target


class Bright(nn.Module):
    """Predicts class 1 for bright pixels; fails in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training and not torch.is_grad_enabled()
        bright = (images[:, 0] > 100).float() * self.weight
        return torch.stack([1 - bright, bright, 0 * bright], 1)


@pytest.mark.parametrize("soft", [False, True])
def test_image_target_and_prediction_are_side_by_side(soft: bool) -> None:
    drawn = segmentation_pictures(Bright(), Halves(soft=soft), CLASSES)()
    assert list(drawn) == [f"example {index}" for index in range(COUNT)]
    image, target, prediction = np.split(drawn["example 0"], 3, axis=1)
    assert (image[:, 16:] == 200).all() and (image[:, :16] == 0).all()
    assert (target == prediction).all()
    expected = np.round(200 * 0.4 + class_colours(CLASSES)[1] * 0.6)
    assert (target[5, 25] == expected).all() and (target[5, 5] == 0).all()


def test_maps_of_present_classes() -> None:
    torch.manual_seed(0)
    model = build_classifier(ClassifierConfig(backbone=BackboneConfig(name="resnet18", weights="none")), 3)

    class Labelled(Halves):
        def __getitem__(self, item: tuple[int, int]) -> tuple[Tensor, Tensor]:
            return super().__getitem__(item)[0], torch.tensor([0.0, 1.0, 0.0])

    drawn = map_pictures(model, Labelled(count=2))()
    assert {picture.shape for picture in drawn.values()} == {(32, 128, 3)} and len(drawn) == 2
    assert (drawn["example 0"][:, 64:] == 0).all()  # one label, one map


def test_pictures_are_written_after_every_epoch_without_side_effects(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    picture = np.zeros((4, 6, 3), np.uint8)
    weights, history = train(tmp_path / "with", pictures=lambda: {"example 0": picture})
    events = EventAccumulator(str(tmp_path / "with" / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Images("example 0")] == [4, 8, 12]
    assert (events.Images("example 0")[0].width, events.Images("example 0")[0].height) == (6, 4)
    others, same = train(tmp_path / "without")
    assert history == same and all(torch.equal(weights[name], others[name]) for name in weights)
