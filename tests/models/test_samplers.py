"""Expansion and shrinkage samplers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.func import functional_call

from wsss.errors import RunFailed
from wsss.models.classifier import CAMClassifier, build_classifier
from wsss.models.config import ClassifierConfig
from wsss.models.sampler_config import ExpansionConfig, SamplerConfig, SamplingConfig, ShrinkageConfig
from wsss.models.samplers import DeformableSampler, ExpansionSampler, Samplers, ShrinkageSampler, clipped


def features(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def displaced(sampler: DeformableSampler, scale: float = 0.3) -> DeformableSampler:
    """Give a sampler's offset branch random weights that displace samples by fractions of a pixel."""
    assert sampler.branch is not None
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in sampler.branch.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return sampler


def small_classifier(name: str = "mobilenet_v2") -> CAMClassifier:
    torch.manual_seed(0)
    config = ClassifierConfig.model_validate({"backbone": {"name": name, "weights": "none"}})
    return build_classifier(config, 3).eval()


@pytest.mark.parametrize("placement", ["bottleneck", "features"])
@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("depthwise", [True, False])
@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18"])
def test_maps_are_initially_unchanged(placement: str, kernel_size: int, depthwise: bool, name: str) -> None:
    model = small_classifier(name)
    image = features(2, 3, 64, 48)
    before = model.maps(model.features(image))
    sampler = {"kernel_size": kernel_size, "depthwise": depthwise}
    sampling = {"placement": placement, "expansion": sampler, "shrinkage": sampler, "merge": "mean"}
    model.resample(SamplingConfig.model_validate(sampling))
    after = model.eval().maps(model.features(image))
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3 * before.abs().max().item())


def test_without_offsets_it_is_initially_the_identity() -> None:
    x = features(2, 6, 5, 4)
    assert torch.equal(ExpansionSampler(ExpansionConfig(offsets="none", kernel_size=3), 6)(x), x)


@pytest.mark.parametrize("alpha", [1.0, 0.25])
def test_only_the_offset_branch_has_its_gradient_reversed(alpha: float) -> None:
    def gradients(reversal: float) -> dict[str, Tensor]:
        torch.manual_seed(0)
        sampler = displaced(ExpansionSampler(ExpansionConfig(kernel_size=3, reversal=reversal, reduction=4), 6))
        head = torch.nn.Conv2d(6, 2, 1)
        x = features(2, 6, 7, 5).requires_grad_()
        head(sampler(x)).square().mean().backward()
        assert x.grad is not None
        named = {**dict(sampler.named_parameters()), "head": head.weight, "bias": head.bias}
        return {"features": x.grad} | {
            name: p.grad for name, p in named.items() if p is not None and p.grad is not None
        }

    plain, reversed_ = gradients(0.0), gradients(alpha)
    assert plain.keys() == reversed_.keys() == {
        "features", "kernel", "head", "bias", "branch.0.weight", "branch.0.bias", "branch.2.weight", "branch.2.bias"
    }  # fmt: skip
    for name, gradient in plain.items():
        assert gradient.abs().max() > 0, name
        factor = -alpha if name.startswith("branch") else 1.0
        torch.testing.assert_close(reversed_[name], factor * gradient)


def test_gradient_steps_of_the_offset_branch_increase_the_loss_and_others_decrease_it() -> None:
    torch.manual_seed(0)
    sampler = displaced(ExpansionSampler(ExpansionConfig(max_offset=None, centre=False), 6), 0.1)
    x, target = features(2, 6, 9, 9), torch.randn(2, 6, 9, 9)

    def loss() -> Tensor:
        return (sampler(x) - target).square().mean()

    start = loss()
    start.backward()
    assert sampler.branch is not None
    for parameters, sign in ((list(sampler.branch.parameters()), 1), ([sampler.kernel], -1)):
        with torch.no_grad():
            for parameter in parameters:
                assert parameter.grad is not None
                parameter -= 1e-3 * parameter.grad
            assert sign * float(loss() - start) > 0
            for parameter in parameters:
                assert parameter.grad is not None
                parameter += 1e-3 * parameter.grad


@pytest.mark.parametrize("depthwise", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
def test_gradients_against_finite_differences(depthwise: bool, groups: int) -> None:
    config = ShrinkageConfig(
        kernel_size=3, depthwise=depthwise, offset_groups=groups, clip=0.9, offset_kernel_size=1, max_offset=0.9
    )
    sampler = displaced(ShrinkageSampler(config, 2).double(), 0.4)
    x = features(1, 2, 3, 3, dtype=torch.float64)
    names = [name for name, _ in sampler.named_parameters()]
    values = tuple(p.detach().clone().requires_grad_() for p in sampler.parameters())

    def run(*parameters: Tensor) -> Tensor:
        return functional_call(sampler, dict(zip(names, parameters, strict=True)), (x,))  # type: ignore[no-any-return]

    assert torch.autograd.gradcheck(run, values, eps=1e-7, atol=1e-5)
    fixed = ExpansionSampler(ExpansionConfig(kernel_size=3, offsets="random", depthwise=depthwise), 2).double().eval()
    with torch.no_grad():
        fixed.kernel.copy_(torch.randn(fixed.kernel.shape))
    assert torch.autograd.gradcheck(fixed, (x.requires_grad_(),), eps=1e-7, atol=1e-5)


def test_centring_removes_a_constant_shift() -> None:
    x = features(2, 4, 8, 6)
    for centre in (True, False):
        sampler = displaced(ExpansionSampler(ExpansionConfig(kernel_size=3, centre=centre), 4), 0.1)
        before = sampler(x)
        assert sampler.branch is not None
        with torch.no_grad():
            sampler.branch[-1].bias += torch.linspace(-3, 3, sampler.offset_channels)
        same = torch.allclose(sampler(x), before, atol=1e-5)
        assert same is centre
    assert sampler.offsets(x).mean((0, 2, 3)).abs().max() > 0.5  # drift without centring


def test_offsets_are_rows_then_columns_in_feature_pixels() -> None:
    x = features(1, 3, 6, 6)
    sampler = ExpansionSampler(ExpansionConfig(centre=False, max_offset=None, offset_init=0.0), 3)
    assert sampler.branch is not None
    with torch.no_grad():
        sampler.branch[-1].bias.copy_(torch.tensor([2.0, -1.0]))
    expected = torch.zeros_like(x)
    expected[:, :, :4, 1:] = x[:, :, 2:, :5]  # (row + 2, column − 1); 0 beyond the border
    torch.testing.assert_close(sampler(x), expected)


@given(limit=st.floats(0.1, 4), scale=st.floats(0.01, 50), groups=st.sampled_from([1, 2, 4]))
def test_offsets_are_bounded(limit: float, scale: float, groups: int) -> None:
    config = ShrinkageConfig(max_offset=limit, offset_groups=groups, kernel_size=3)
    sampler = displaced(ShrinkageSampler(config, 4), scale)
    offsets = sampler.offsets(features(2, 4, 5, 7))
    assert offsets.shape == (2, 2 * 9 * groups, 5, 7)
    assert offsets.abs().max().item() <= limit * (1 + 1e-6)


def test_random_offsets_are_new_in_training_and_fixed_in_evaluation() -> None:
    sampler = ExpansionSampler(ExpansionConfig(offsets="random", max_offset=1.5), 4)
    x = features(2, 4, 16, 16)
    assert sampler.branch is None
    assert not torch.equal(sampler.offsets(x), sampler.offsets(x))
    assert 0.7 * 1.5 < float(sampler.offsets(x).abs().mean()) < 0.9 * 1.5
    sampler.eval()
    assert torch.equal(sampler.offsets(x), sampler.offsets(x))
    assert torch.equal(sampler.offsets(x)[0], sampler.offsets(x)[1])


@given(fraction=st.floats(0.05, 1.0))
def test_clipping_changes_only_peaks_of_positive_channels(fraction: float) -> None:
    x = features(2, 3, 4, 5) - torch.tensor([0.0, 0.5, 2.0]).reshape(1, 3, 1, 1)
    y = clipped(x, fraction)
    peak = x.amax((2, 3), keepdim=True)
    assert torch.equal(y[:, 2], x[:, 2])  # negative everywhere
    assert bool((y <= x).all())
    torch.testing.assert_close(y[:, :2].amax((2, 3)), fraction * peak[:, :2, 0, 0])
    below = x <= fraction * peak
    assert torch.equal(y[below], x[below])


@pytest.mark.parametrize("merge", ["expansion", "shrinkage", "mean", "max"])
def test_merge_rules(merge: str) -> None:
    config = SamplingConfig.model_validate({"expansion": {}, "shrinkage": {"clip": 0.5}, "merge": merge})
    samplers = Samplers(config, 4).eval()
    for sampler in (samplers.expansion, samplers.shrinkage):
        assert sampler is not None
        displaced(sampler)
    x = features(2, 4, 6, 6)
    assert samplers.expansion is not None
    assert samplers.shrinkage is not None
    expanded = samplers.expansion(x)
    shrunk = samplers.shrinkage(expanded)
    expected = {
        "expansion": expanded,
        "shrinkage": shrunk,
        "mean": (expanded + shrunk) / 2,
        "max": torch.maximum(expanded, shrunk),
    }
    torch.testing.assert_close(samplers.merged(list(samplers.paths(x))), expected[merge])
    (path,) = samplers.train().paths(x)
    torch.testing.assert_close(path, shrunk)
    offsets = samplers.offsets(x)
    assert offsets is not None
    torch.testing.assert_close(offsets, samplers.shrinkage.offsets(clipped(expanded, 0.5)))


def test_resample_keeps_trained_samplers() -> None:
    model = small_classifier()
    first = SamplingConfig.model_validate({"expansion": {"max_offset": 2}, "merge": "expansion"})
    model.resample(first)
    assert model.samplers.expansion is not None
    displaced(model.samplers.expansion)
    image = features(1, 3, 48, 48)
    before = model.eval().maps(model.features(image))
    model.resample(first.model_copy(update={"shrinkage": ShrinkageConfig(offsets="none"), "merge": "mean"}))
    torch.testing.assert_close(model.eval().maps(model.features(image)), before)
    for invalid in (
        {"expansion": {"max_offset": 1}, "shrinkage": {"offsets": "none"}},
        {"expansion": {"max_offset": 2}, "shrinkage": {"offsets": "none"}, "placement": "features"},
        {"expansion": {"max_offset": 2}},
    ):
        with pytest.raises(ValueError, match=r"expansion|shrinkage"):
            model.resample(SamplingConfig.model_validate(invalid))


def test_features_keep_their_type_under_autocast() -> None:
    """torchvision's CPU kernel does not support half precision."""
    sampler = displaced(ExpansionSampler(ExpansionConfig(), 4))
    x = features(1, 4, 6, 6).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        sampled = sampler(x)
    assert sampled.dtype == torch.bfloat16
    torch.testing.assert_close(sampled.float(), sampler(x.float()), atol=0.05, rtol=0.05)


def test_offset_groups_must_divide_the_channels() -> None:
    with pytest.raises(ValueError, match=r"offset_groups.*6.*1, 2, 3, 6.*4"):
        DeformableSampler(SamplerConfig(offset_groups=4), 6)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_offsets_that_are_not_finite_are_an_error(value: float) -> None:
    sampler = ExpansionSampler(ExpansionConfig(max_offset=None, centre=False), 4)
    assert sampler.branch is not None
    with torch.no_grad():
        sampler.branch[-1].bias[1] = value
    with pytest.raises(RunFailed) as error:
        sampler(features(1, 4, 6, 6))
    assert error.value.subject == "sampler"


def test_a_frozen_trunk_gets_neither_gradients_nor_statistics() -> None:

    model = small_classifier()
    model.resample(SamplingConfig(expansion=ExpansionConfig(), merge="expansion"))
    for part in (model.backbone.low, model.backbone.high):
        part.requires_grad_(False)
    model.freeze_untrained_parts()
    model.train()
    statistics = {name: value.clone() for name, value in model.backbone.state_dict().items()}
    model(features(2, 3, 64, 64)).sum().backward()
    touched = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert touched == {"samplers.expansion.kernel", "samplers.expansion.branch.0.weight",
                       "samplers.expansion.branch.0.bias", "backbone.last.0.weight", "backbone.last.1.weight",
                       "backbone.last.1.bias", "head.weight"}  # fmt: skip
    changed = {name for name, value in model.backbone.state_dict().items() if not torch.equal(value, statistics[name])}
    assert changed
    assert all(name.startswith("last.") for name in changed)
