"""Properties of all losses of the benchmark: training, gradients, perfect predictions."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import TypeAdapter
from shareddata import SHARED_DATA, needs_shared_data
from torch import Tensor, nn
from torch.autograd import gradcheck

from wsss.io.rasters.label_masks import read_mask
from wsss.io.rasters.rgb_images import read_image
from wsss.losses import Loss, build
from wsss.losses.any_loss import LossConfig
from wsss.losses.base import build_loss
from wsss.losses.catalogue import LOSSES
from wsss.losses.term import LossWithTerm
from wsss.pipeline.config.presets import with_presets
from wsss.pipeline.config.resources import names, shipped
from wsss.pipeline.config.source import read_yaml

NINE = (
    "betti_matching",
    "cbdice",
    "ce_dice",
    "cldice",
    "region_wise",
    "skeleton_recall",
    "topo",
    "topoloss",
    "warping",
)
WITH_TERM = tuple(name for name in NINE if name not in ("ce_dice", "region_wise"))

PRESETS = [name for name in names(shipped("configs")) if name.startswith("loss/")]


def preset(name: str, **keys: Any) -> Loss:
    """Build the loss of a preset, with other values for some keys."""
    path = next(shipped("configs").glob(f"{name}.y*ml"))
    value = with_presets(read_yaml(path), where="segment").value["loss"]
    return build_loss(TypeAdapter(LossConfig).validate_python({**value, **keys}))


def test_every_loss_has_a_preset_of_its_own_and_of_the_benchmark() -> None:
    assert {f"loss/{name}" for name in NINE} <= set(PRESETS)
    assert {name for name in PRESETS if "topomortar" in name} == {f"loss/topomortar/{name}" for name in NINE}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds_its_loss(name: str) -> None:
    loss = preset(name)
    value = loss(torch.randn(1, 2, 40, 40), torch.randint(0, 2, (1, 40, 40)))
    assert torch.isfinite(value) and value > 0
    if name in ("loss/topomortar/topoloss", "loss/topomortar/warping"):
        assert loss.config.active_from == 0.7


class Small(nn.Module):
    """Three convolutions at half resolution."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 5, stride=2, padding=2),
            nn.InstanceNorm2d(16, affine=True),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.InstanceNorm2d(16, affine=True),
            nn.ReLU(),
            nn.Conv2d(16, 2, 3, padding=1),
        )

    def forward(self, images: Tensor) -> Tensor:
        return F.interpolate(self.layers(images), scale_factor=2.0, mode="bilinear", align_corners=False)


def crops() -> tuple[Tensor, Tensor]:
    """Four crops of 128² of real walls, ``(4, 3, 128, 128)`` in [0, 1], and their accurate labels."""
    folder = SHARED_DATA / "topomortar" / "dataset" / "train"
    files = sorted((folder / "images").glob("*.png"))[:4]
    images = np.stack([read_image(file)[128:256, 128:256] for file in files])
    masks = np.stack([read_mask(folder / "accurate" / file.name)[128:256, 128:256] for file in files])
    return torch.from_numpy(images).movedim(-1, 1) / 255, torch.from_numpy((masks > 0).astype(np.int64))


@pytest.mark.slow
@needs_shared_data
@pytest.mark.parametrize("name", NINE)
def test_two_hundred_steps_on_real_walls(name: str) -> None:
    """With the benchmark's weights; its late terms count from the 100th step on."""
    images, masks = crops()
    net = Small()
    loss = preset(f"loss/topomortar/{name}", **({"active_from": 100} if name in ("topoloss", "warping") else {}))
    optimiser = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9, nesterov=True)
    values = []
    for step in range(200):
        place = [step % 4]
        loss.begin_step(step, 200)
        logits = net(images[place])
        value = loss(logits, masks[place])
        assert torch.isfinite(value), f"step {step}"
        optimiser.zero_grad()
        value.backward()
        assert all(torch.isfinite(one.grad).all() for one in net.parameters() if one.grad is not None)
        optimiser.step()
        values.append(value.item())
    if name in ("topoloss", "warping"):
        assert np.mean(values[80:100]) < 0.8 * np.mean(values[:20])
        values = values[100:]
    assert np.mean(values[-20:]) < np.mean(values[:20])
    with torch.no_grad():
        predicted = net(images).argmax(1) == 1
    dice = 2 * (predicted & (masks == 1)).sum() / (predicted.sum() + (masks == 1).sum())
    assert dice > 0.7, "argmax of the logits is the mask, whatever the loss makes of them"


def small_case(seed: int) -> tuple[Tensor, Tensor]:
    """Logits whose probabilities differ from each other and from ½ by more than a finite difference."""
    random = np.random.default_rng(seed)
    margins = random.permutation(np.linspace(-2, 2, 70)).reshape(2, 1, 5, 7)
    target = torch.from_numpy(random.integers(0, 2, (2, 5, 7)))
    target[0, 1:3, 2] = 255
    return torch.from_numpy(np.concatenate([-0.3 * margins, 0.7 * margins], 1)), target


@pytest.mark.parametrize("name", NINE)
@pytest.mark.parametrize("seed", range(2))
def test_gradient_against_finite_differences(name: str, seed: int) -> None:
    logits, target = small_case(seed)
    keys = {"margin": 0.5, "d_min": 1.2, "d_max": 4, "alpha": 1} if name == "topo" else {}
    loss = build(name, **keys)
    assert gradcheck(lambda x: loss(x, target), logits.requires_grad_(), eps=1e-6, atol=1e-6)


def cross() -> Tensor:
    """Two walls that cross, three pixels wide, and a ring ``(1, 64, 64)``."""
    target = torch.zeros(1, 64, 64, dtype=torch.int64)
    target[0, 20:23] = target[0, :, 40:43] = 1
    target[0, 40:56, 8:24] = 1
    target[0, 43:53, 11:21] = 0
    return target


@pytest.mark.parametrize("name", WITH_TERM)
def test_a_perfect_prediction_has_no_term(name: str) -> None:
    target = cross()
    margin = torch.where(target == 1, 40.0, -40.0).unsqueeze(1)
    loss = build(name, base_weight=0, alpha=1, active_from=0)
    assert isinstance(loss, LossWithTerm)
    assert loss(margin, target).item() == pytest.approx(0, abs=1e-4)
    broken = margin.clone()
    broken[0, 0, 18:25, 10:20] = -40
    assert loss(broken, target).item() > 1e-5


@pytest.mark.parametrize("name", ["ce_dice", "region_wise"])
def test_a_perfect_prediction_has_zero_loss(name: str) -> None:
    target = cross()
    margin = torch.where(target == 1, 40.0, -40.0).unsqueeze(1)
    logits = torch.cat([torch.zeros_like(margin), margin], 1)
    assert build(name)(logits, target).item() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("name", NINE)
@pytest.mark.parametrize("value", [0, 1, 255])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_never_nan(name: str, value: int, dtype: torch.dtype) -> None:
    for logits in (torch.zeros(2, 2, 24, 24), 8 * torch.randn(2, 2, 24, 24), torch.full((2, 2, 24, 24), 60.0)):
        given = logits.to(dtype).requires_grad_()
        result = build(name)(given, torch.full((2, 24, 24), value))
        result.backward()
        assert torch.isfinite(result) and given.grad is not None and torch.isfinite(given.grad).all()
        if value == 255:
            assert result.item() == 0 and not given.grad.any()


@pytest.mark.parametrize("name", NINE)
def test_the_same_twice(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    logits, target = torch.randn(2, 2, 64, 64, generator=generator), cross().repeat(2, 1, 1)
    gradients = []
    for _ in range(2):
        given = logits.clone().requires_grad_()
        build(name)(given, target).backward()
        gradients.append(given.grad)
    assert gradients[0] is not None and gradients[1] is not None and torch.equal(gradients[0], gradients[1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", NINE)
def test_cuda_gives_the_same(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    logits, target = torch.randn(2, 2, 64, 64, generator=generator).double(), cross().repeat(2, 1, 1)
    here, there = logits.clone().requires_grad_(), logits.cuda().requires_grad_()
    value, other = build(name)(here, target), build(name)(there, target.cuda())
    value.backward()
    other.backward()
    torch.testing.assert_close(other.cpu(), value)
    assert there.grad is not None
    torch.testing.assert_close(there.grad.cpu(), here.grad)


EVERY = sorted(LOSSES)


@pytest.mark.parametrize("name", EVERY)
def test_a_loss_trains_after_validation_under_inference_mode(name: str) -> None:
    loss, target = build(name), torch.randint(0, 2, (1, 16, 16))
    logits = torch.randn(1, 2, 16, 16, requires_grad=True)
    with torch.inference_mode():
        before = loss(logits, target).item()
    after = loss(logits, target)
    after.backward()
    assert after.item() == before
    assert logits.grad is not None and logits.grad.abs().sum() > 0


@pytest.mark.parametrize("name", EVERY)
def test_several_threads_can_share_a_loss(name: str) -> None:
    loss = build(name)
    cases = [(torch.randn(1, 2, 48, 48), torch.randint(0, 2, (1, 48, 48))) for _ in range(8)]
    expected = [loss(*case).item() for case in cases]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            assert list(pool.map(lambda case: loss(*case).item(), cases)) == expected


@pytest.mark.parametrize("name", EVERY)
def test_losses_can_be_pickled(name: str) -> None:
    loss, logits, target = build(name), torch.randn(1, 2, 16, 16), torch.randint(0, 2, (1, 16, 16))
    loss(logits, target)
    assert pickle.loads(pickle.dumps(loss))(logits, target).item() == loss(logits, target).item()


@pytest.mark.parametrize("name", EVERY)
def test_targets_of_other_forms(name: str) -> None:
    loss, logits, target = build(name), torch.randn(2, 1, 16, 16), torch.randint(0, 2, (2, 16, 16))
    expected = loss(logits, target).item()
    for same in (target.bool(), target.byte(), target[:, None], target[:, None].int(), target[:, None].float()):
        assert loss(logits, same).item() == pytest.approx(expected, rel=1e-6), same.dtype
    three = torch.randn(2, 3, 16, 16)
    assert loss(three, target[:, None]).item() == loss(three, target).item()
