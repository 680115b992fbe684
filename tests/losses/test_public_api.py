"""The public losses: keyword arguments, forms of predictions and targets, deep supervision."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import wsss
import wsss.losses as losses
import wsss.metrics
import wsss.topology
from wsss.errors import InvalidInput
from wsss.losses import DeepSupervision, build
from wsss.losses.catalogue import LOSSES, loss_class
from wsss.losses.output_losses import halves

NAMES = pytest.mark.parametrize("name", sorted(LOSSES))


def case(classes: int = 3, batch: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(classes)
    logits = 2 * torch.randn(batch, classes, 16, 16, generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, max(classes, 2), (batch, 16, 16), generator=generator)


def one_hot(target: Tensor, classes: int, dtype: torch.dtype = torch.int64) -> Tensor:
    return F.one_hot(target, classes).movedim(-1, 1).to(dtype)


def test_importing_the_package_imports_no_torch() -> None:
    code = "import sys, wsss.losses; assert not {'torch', 'numpy', 'numba'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_import_wsss_is_enough() -> None:
    code = (
        "import sys, wsss\n"
        "wsss.losses.build, wsss.metrics.__all__, wsss.topology.__all__, wsss.errors.InvalidInput, wsss.stages.STAGES\n"
        "assert {'losses', 'metrics', 'topology'} <= set(dir(wsss))\n"
        "assert not {'torch', 'numpy', 'numba'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("module", [wsss, losses, wsss.metrics, wsss.topology])
def test_all_public_names_are_listed(module: Any) -> None:
    assert set(module.__all__) <= set(dir(module))


def test_every_exported_name_exists() -> None:
    assert {name for name in losses.__all__ if getattr(losses, name) is None} == set()
    assert {loss_class(name).__name__ for name in LOSSES} <= set(losses.__all__)
    with pytest.raises(AttributeError):
        _ = losses.Missing


@NAMES
def test_keywords_config_and_name_build_the_same_loss(name: str) -> None:
    kind = loss_class(name)
    logits, target = case()
    expected = kind()(logits, target)
    assert torch.equal(build(name)(logits, target), expected)
    assert torch.equal(kind.from_config(kind.config_type())(logits, target), expected)
    parameters = inspect.signature(kind).parameters
    assert {"from_logits", "ignore_index"} | set(kind.config_type.model_fields) - {"name"} <= set(parameters)
    assert parameters["multilabel"].default is False


def test_a_base_loss_may_be_a_loss_a_config_or_a_mapping() -> None:
    base = losses.DiceLoss(background=False)
    built = [losses.ClDiceLoss(base=one) for one in (base, base.config, {"name": "dice", "background": False})]
    assert all(loss.config.base == base.config for loss in built)
    assert losses.ClDiceLoss(base="ce").config.base == losses.CrossEntropyLoss().config
    other = losses.ClDiceLoss(base=losses.DiceLoss(background=False, ignore_index=0), ignore_index=0)
    assert other.config.base == base.config and other.form.ignore_index == 0


def test_repr_shows_the_settings() -> None:
    text = repr(losses.ClDiceLoss(alpha=0.3, base="ce", ignore_index=-100))
    assert "alpha=0.3" in text and "ignore_index=-100" in text and "from_logits" not in text
    assert "(base): CrossEntropyLoss(label_smoothing=0.0)" in text


def test_losses_can_be_copied() -> None:
    loss = losses.ClDiceLoss(alpha=0.3, base="ce")
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(losses.DiceLoss(smooth=1)))):
        assert isinstance(other, losses.Loss)


@NAMES
@pytest.mark.parametrize(("step", "steps"), [(-1, 10), (0, 0), (10, 10), (20, 10), ("a", 3), (0, None), (0.5, 3)])
def test_invalid_steps(name: str, step: Any, steps: Any) -> None:
    for loss in (build(name), DeepSupervision(build(name))):
        with pytest.raises(InvalidInput) as error:
            loss.begin_step(step, steps)
        assert str(error.value.subject).startswith("begin_step.step")


@pytest.mark.parametrize(
    ("make", "subject", "suggestion"),
    [
        (lambda: build("cldise"), "loss.name", "cldice"),
        (lambda: build("cldice", alhpa=0.3), "ClDiceLoss.alhpa", "alpha"),
        (lambda: losses.BettiMatchingLoss(from_logit=False), "BettiMatchingLoss.from_logit", "from_logits"),
        (lambda: losses.BettiMatchingLoss(filtration="superlevels"), "BettiMatchingLoss.filtration", "superlevel"),
        (lambda: losses.DiceLoss(smooth=0), "DiceLoss.smooth", ""),
        (lambda: losses.DiceLoss(multilabel=True, targets="one-hot"), "DiceLoss", ""),
        (lambda: losses.DiceLoss(targets="one-hot", ignore_index=0), "DiceLoss", ""),
        (lambda: losses.ClDiceLoss(base="cee"), "ClDiceLoss.base", "ce"),
        (lambda: losses.ClDiceLoss(base=losses.DiceLoss(ignore_index=0)), "ClDiceLoss.base.ignore_index", ""),
        (lambda: losses.CrossEntropyDiceLoss(ce=losses.CrossEntropyLoss(from_logits=False)), "Loss.ce.from_logits", ""),
        (lambda: losses.ClDiceLoss(base=type("OwnDiceLoss", (losses.DiceLoss,), {})()), "ClDiceLoss.base", ""),
        (lambda: losses.ClDiceLoss(0.3), "ClDiceLoss", ""),
        (lambda: losses.DiceLoss(True), "DiceLoss", ""),
        (lambda: DeepSupervision(losses.DiceLoss(), term="first"), "DeepSupervision.term", "finest"),
        (lambda: DeepSupervision("cldice"), "DeepSupervision.loss", "cldice"),
        (lambda: DeepSupervision(torch.nn.CrossEntropyLoss()), "DeepSupervision.loss", ""),
        (lambda: DeepSupervision(losses.DiceLoss(), (1, -0.5)), "DeepSupervision.weights", ""),
        (lambda: DeepSupervision(losses.DiceLoss(), "ab"), "DeepSupervision.weights", ""),
        (lambda: DeepSupervision(losses.DiceLoss(), (float("nan"),)), "DeepSupervision.weights", ""),
        (lambda: DeepSupervision(losses.DiceLoss())({"out": case()[0]}, case()[1]), "outputs", ""),
        (lambda: DeepSupervision(losses.DiceLoss())([None], case()[1]), "outputs", ""),
        (lambda: DeepSupervision(losses.DiceLoss())(case()[0], {"mask": case()[1]}), "target", ""),
    ],
)
def test_invalid_names_keys_and_values(make: Any, subject: str, suggestion: str) -> None:
    with pytest.raises(InvalidInput) as error:
        make()
    assert subject in str(error.value.subject)
    assert f"'{suggestion}'" in error.value.message if suggestion else True


@NAMES
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float32])
def test_one_hot_targets(name: str, dtype: torch.dtype) -> None:
    logits, target = case()
    hot = one_hot(target, 3, dtype)
    hot[0, :, :2] = 0
    target[0, :2] = 255
    torch.testing.assert_close(build(name, targets="one-hot")(logits, hot), build(name)(logits, target))


def test_a_one_hot_target_of_one_channel_is_a_mask() -> None:
    logits, target = case(1)
    assert torch.equal(build("dice", targets="one-hot")(logits, target[:, None].float()), build("dice")(logits, target))


@pytest.mark.parametrize("value", [255, float("nan"), 0.3, -100])
@pytest.mark.parametrize("channels", [1, 3])
def test_one_hot_targets_are_0_and_1(channels: int, value: float) -> None:
    target = torch.zeros(2, channels, 16, 16)
    target[1, 0, 3, 3] = value
    with pytest.raises(InvalidInput) as error:
        build("dice", targets="one-hot")(case(channels)[0], target)
    assert error.value.found == pytest.approx(value, nan_ok=True) and "targets='indices'" in str(error.value.hint)


@pytest.mark.parametrize(("logits", "target"), [(3, 2), (2, 1), (2, 3), (1, 3)])
def test_one_hot_targets_have_a_channel_per_class(logits: int, target: int) -> None:
    with pytest.raises(InvalidInput) as error:
        build("dice", targets="one-hot")(case(logits)[0], torch.zeros(2, target, 16, 16))
    assert f"(2, {logits}, 16, 16)" in str(error.value.allowed)


@pytest.mark.parametrize("settings", [{}, {"targets": "one-hot"}, {"multilabel": True}])
@pytest.mark.parametrize("dtype", [torch.int64, torch.float32])
def test_channels_in_the_last_dimension(settings: dict[str, Any], dtype: torch.dtype) -> None:
    logits, target = case()
    with pytest.raises(InvalidInput) as error:
        losses.DiceLoss(**settings)(logits, F.one_hot(target, 3).to(dtype))
    assert "target.movedim(-1, 1)" in str(error.value.hint)


class HardLoss(losses.Loss):
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        assert target.dtype == torch.int64 and target.shape == (2, 16, 16)
        if logits.shape[1] == 1:
            logits = torch.cat([torch.zeros_like(logits), logits], 1)
        return F.cross_entropy(logits, target, ignore_index=255)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32])
def test_losses_that_take_no_probabilities_get_class_indices(dtype: torch.dtype) -> None:
    logits, target = case()
    target[0, :2] = 255
    hot = one_hot(target.clamp(max=3), 4)[:, :3]
    expected = HardLoss()(logits, target)
    assert torch.equal(HardLoss(targets="one-hot")(logits, hot.to(dtype)), expected)
    assert torch.equal(HardLoss()(logits, hot.double() * 0.8 + 0.2 / 3 * hot.sum(1, keepdim=True)), expected)
    regions = HardLoss(multilabel=True)(logits, hot.to(dtype))
    parts = [HardLoss()(logits[:, k : k + 1], hot[:, k].long()) for k in range(3)]
    torch.testing.assert_close(regions, torch.stack(parts).mean())


@NAMES
def test_class_indices_as_floats(name: str) -> None:
    logits, target = case()
    target[0, :2] = 255
    for floats in (target.float(), target[:, None].half()):
        assert torch.equal(build(name, targets="indices")(logits, floats), build(name)(logits, target))


@NAMES
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_probabilities_instead_of_logits(name: str, classes: int, dtype: torch.dtype) -> None:
    logits, target = case(classes)
    probabilities = (logits.sigmoid() if classes == 1 else logits.softmax(1)).to(dtype).requires_grad_()
    value = build(name, from_logits=False)(probabilities, target)
    value.backward()
    assert probabilities.grad is not None and probabilities.grad.isfinite().all()
    if dtype == torch.float64 and (classes == 1 or name != "topo"):  # topo reads softmax logits as log-odds, too
        torch.testing.assert_close(value, build(name)(logits, target))


@pytest.mark.parametrize("channels", [1, 2])
def test_rounding_errors_of_probabilities_are_clipped(channels: int) -> None:
    """The mean of three probabilities of 1 may exceed 1, and 1 minus it is negative."""
    foreground = torch.full((1, 1, 4, 4), 1.0000001192)
    probabilities = torch.cat([1 - foreground, foreground], 1)[:, -channels:].requires_grad_()
    assert channels == 1 or probabilities.min() < 0
    value = build("ce_dice", from_logits=False)(probabilities, torch.ones(1, 4, 4, dtype=torch.long))
    value.backward()
    assert abs(value) < 1e-5 and probabilities.grad is not None and probabilities.grad.isfinite().all()
    with pytest.raises(InvalidInput):
        build("ce", from_logits=False)(probabilities.detach() - 1.02, torch.ones(1, 4, 4, dtype=torch.long))


def test_certain_probabilities_have_finite_losses_and_gradients() -> None:
    _, target = case()
    certain = one_hot(1 - target.clamp(max=1), 3, torch.float32).requires_grad_()
    value = build("ce_dice", from_logits=False)(certain, target)
    value.backward()
    assert value.isfinite() and certain.grad is not None and certain.grad.isfinite().all()


@NAMES
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float32])
def test_multilabel_targets_are_the_mean_of_binary_losses(name: str, dtype: torch.dtype) -> None:
    logits, _ = case(3)
    regions = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) > 0.6
    expected = [build(name)(logits[:, k : k + 1], regions[:, k].long()) for k in range(3)]
    value = build(name, multilabel=True)(logits, regions.to(dtype))
    torch.testing.assert_close(value, torch.stack(expected).mean())
    from_probabilities = build(name, multilabel=True, from_logits=False)(logits.sigmoid(), regions)
    torch.testing.assert_close(from_probabilities, value)


def test_multilabel_dice_against_monai() -> None:
    theirs = pytest.importorskip("monai.losses").DiceLoss(sigmoid=True)
    logits, regions = case(3)[0], (torch.rand(2, 3, 16, 16) > 0.6).double()
    ours = losses.DiceLoss(multilabel=True, background=False, absent="count", per_image=True)
    torch.testing.assert_close(ours(logits, regions), theirs(logits, regions), atol=1e-5, rtol=1e-5)


@NAMES
def test_another_ignore_index(name: str) -> None:
    logits, target = case()
    target[0, :3] = 255
    expected = build(name)(logits, target)
    for value in (-100, 3):
        other = target.masked_fill(target == 255, value)
        for same in (other, other[:, None].int(), other.to(torch.int16)):
            assert torch.equal(build(name, ignore_index=value)(logits, same), expected)
    regions = one_hot(target.clamp(max=2), 3)
    regions[:, :, 5] = 7
    assert build(name, ignore_index=7, multilabel=True)(logits, regions).isfinite()


def test_ignore_indices_do_not_wrap_around() -> None:
    """As int8, 255 is -1; as uint8, -100 is 156."""
    logits, target = case()
    target[0, :3] = 255
    signed = target.masked_fill(target == 255, -1).to(torch.int8)
    assert torch.equal(build("ce", ignore_index=-1)(logits, signed), build("ce")(logits, target))
    many, of_class = torch.randn(1, 200, 4, 4), torch.full((1, 4, 4), 156)
    for dtype in (torch.uint8, torch.int64):
        assert torch.equal(build("ce", ignore_index=-100)(many, of_class.to(dtype)), build("ce")(many, of_class))


VOLUME = torch.zeros(1, 3, 4, 8, 8)


@pytest.mark.parametrize(
    ("settings", "logits", "target", "subject"),
    [
        ({}, VOLUME, VOLUME[:, 0].long(), "logits"),
        ({}, VOLUME[:, :, 0], VOLUME.long(), "target"),
        ({}, VOLUME[:, :, 0], VOLUME[:, 0].long(), "target"),
        ({}, [VOLUME[:, :, 0]], VOLUME[:, 0, 0].long(), "logits"),
        ({}, np.zeros((1, 3, 8, 8)), VOLUME[:, 0, 0].long(), "logits"),
        ({}, VOLUME[:, :, 0], np.zeros((1, 8, 8)), "target"),
        ({"from_logits": False}, 2 * torch.ones(1, 1, 8, 8), torch.zeros(1, 8, 8), "probabilities"),
        ({"from_logits": False}, torch.ones(1, 3, 8, 8), torch.zeros(1, 8, 8), "probabilities"),
        ({"from_logits": False}, torch.ones(1, 3, 8, 8).long(), torch.zeros(1, 8, 8), "logits"),
        ({"from_logits": False}, torch.ones(3, 8, 8), torch.zeros(1, 8, 8), "logits"),
        ({"targets": "indices"}, VOLUME[:, :, 0], torch.full((1, 8, 8), 0.5), "target"),
        ({"targets": "one-hot"}, VOLUME[:, :, 0], torch.ones(1, 3, 8, 8), "target"),
        ({"targets": "one-hot"}, VOLUME[:, :, 0], torch.ones(1, 8, 8), "target"),
        ({"ignore_index": -100}, VOLUME[:, :, 0], torch.full((1, 8, 8), 255), "target"),
        ({"multilabel": True}, VOLUME[:, :, 0], torch.zeros(1, 8, 8), "target"),
        ({"multilabel": True}, VOLUME[:, :, 0], torch.full((1, 3, 8, 8), 2), "target"),
    ],
)
def test_other_forms_are_refused(settings: dict[str, Any], logits: Any, target: Any, subject: str) -> None:
    with pytest.raises(InvalidInput) as error:
        losses.DiceLoss(**settings)(logits, target)
    assert error.value.subject == subject and error.value.allowed


def test_cldice_per_image_is_monais() -> None:
    theirs = pytest.importorskip("monai.losses").SoftclDiceLoss(include_background=False, smooth=1e-12)
    logits, target = case(3, batch=3)
    ours = losses.ClDiceLoss(per_image=True, base_weight=0, alpha=1)
    expected = theirs(logits.softmax(1), one_hot(target, 3, torch.float64))
    torch.testing.assert_close(ours(logits, target), expected)
    assert not torch.isclose(losses.ClDiceLoss(base_weight=0, alpha=1)(logits, target), expected)
    target[1] = 255  # not in the mean
    kept = [0, 2]
    torch.testing.assert_close(ours(logits, target), ours(logits[kept], target[kept]))


def outputs() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(2, 3, size, size, generator=generator, requires_grad=True) for size in (16, 8, 4)]


@pytest.mark.parametrize("name", ["ce_dice", "cldice"])
def test_deep_supervision_is_a_weighted_sum(name: str) -> None:
    loss, (fine, *coarse), (_, target) = build(name), outputs(), case()
    small = [target[:, 1::2, 1::2], target[:, 2::4, 2::4]]
    parts = [loss(fine, target), *(loss(*pair) for pair in zip(coarse, small, strict=True))]
    expected = 4 / 7 * parts[0] + 2 / 7 * parts[1] + 1 / 7 * parts[2]
    supervised = DeepSupervision(loss)
    for form in (target, target[:, None].byte(), [target, *small]):  # resized by nearest neighbour, or one per output
        torch.testing.assert_close(supervised([fine, *coarse], form), expected)
    alone = DeepSupervision(loss, weights=(2, 0, 0))((fine, *coarse), target)
    torch.testing.assert_close(alone, 2 * parts[0])
    alone.backward()
    assert all(output.grad is not None and not output.grad.any() for output in coarse)
    torch.testing.assert_close(supervised(fine, target), parts[0])
    stacked = torch.stack([fine, 2 * fine], 1)
    torch.testing.assert_close(supervised(stacked, target), 2 / 3 * parts[0] + 1 / 3 * loss(2 * fine, target))


def test_deep_supervision_with_a_term_on_the_finest_output_only() -> None:
    loss, (fine, coarse, _), (_, target) = build("cldice"), outputs(), case()
    value = DeepSupervision(loss, (0.75, 0.25), term="finest")([fine, coarse], target)
    base = loss.config.base_weight * loss.base(coarse, target[:, 1::2, 1::2])
    torch.testing.assert_close(value, 0.75 * loss(fine, target) + 0.25 * base)
    assert loss.active


@pytest.mark.parametrize("shape", [(2, 16, 8), (2, 1, 16, 8), (2, 4, 4), (16, 32), (2, 1, 1, 16, 32)])
def test_targets_are_not_enlarged_or_guessed(shape: tuple[int, ...]) -> None:
    """Height and width are swapped, the target is that of a coarser output, or its dimensions are unusual."""
    with pytest.raises(InvalidInput) as error:
        DeepSupervision(build("ce"))([torch.randn(2, 3, 8, 16)], torch.zeros(shape, dtype=torch.long))
    assert error.value.subject == "target" and error.value.found == str(shape)


def test_deep_supervision_announces_steps_and_requires_matching_counts() -> None:
    loss = build("cldice", active_from=0.5)
    DeepSupervision(loss).begin_step(0, 10)
    assert not loss.active
    assert sum(halves(5)) == pytest.approx(1)
    for weights, target in (((1.0,), case()[1]), (None, [case()[1]])):
        with pytest.raises(InvalidInput) as error:
            DeepSupervision(loss, weights)(outputs(), target)
        assert error.value.found == 1
    with pytest.raises(InvalidInput):
        DeepSupervision(loss)([], case()[1])
