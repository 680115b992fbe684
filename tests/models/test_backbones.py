from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from pydantic import ValidationError
from safetensors.torch import save_file
from shareddata import SHARED_DATA, needs_shared_data
from torch import nn

from wsss.errors import InvalidInput, RunFailed
from wsss.models.backbones import Architecture, Backbone, Normalise, build_backbone
from wsss.models.config import BackboneConfig
from wsss.models.weights.folding import FoldedConv2d, freeze_batchnorm

ARCHITECTURES = ("resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_large")
WITHOUT_GLOBAL_POOLING = ("resnet18", "resnet50", "mobilenet_v2")

every_architecture = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "resnet50" else ()) for name in ARCHITECTURES]
)


def make(name: str, **keys: object) -> tuple[nn.Module, object]:
    return build_backbone(BackboneConfig.model_validate({"name": name, "weights": "none", **keys}))


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give BatchNorm random statistics and parameters, so that it is no identity."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor, low in (
                (part.weight, 0.8),
                (part.bias, -0.1),
                (part.running_mean, -0.1),
                (part.running_var, 0.8),
            ):
                tensor.data = low + torch.rand(tensor.shape, generator=generator) * 0.4
    return module


@every_architecture
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_strides_and_channels(name: str, stride: int) -> None:
    backbone, _ = make(name, output_stride=stride)
    low, high = backbone(torch.rand(2, 3, 64, 32))
    assert low.shape == (2, backbone.low_channels, 8, 4)
    assert high.shape == (2, backbone.channels, 64 // stride, 32 // stride)
    widths = {"resnet18": 512, "resnet50": 2048, "mobilenet_v2": 1280, "mobilenet_v3_large": 960}
    assert backbone.channels == widths[name]


@pytest.mark.parametrize("name", WITHOUT_GLOBAL_POOLING)
@pytest.mark.parametrize("stride", [8, 16])
def test_dilation_keeps_the_features_at_the_original_positions(name: str, stride: int) -> None:
    torch.manual_seed(0)
    coarse, _ = make(name, output_stride=32)
    randomised(coarse).eval()
    fine, _ = make(name, output_stride=stride)
    fine.load_state_dict(coarse.state_dict())
    fine.eval()
    image = torch.rand(1, 3, 64, 96)
    skip = 32 // stride
    with torch.no_grad():
        dilated, expected = fine(image).high[..., ::skip, ::skip], coarse(image).high
    torch.testing.assert_close(dilated / expected.abs().max(), expected / expected.abs().max(), rtol=0, atol=1e-4)


def layers(*strides: int) -> list[nn.Module]:
    """Return a unit per stride: a convolution, or average pooling for a negative one."""
    units = [
        nn.AvgPool2d(-stride) if stride < 0 else nn.Conv2d(3, 3, 3, stride=stride, padding=1) for stride in strides
    ]
    return [nn.Sequential(unit) for unit in units]


@pytest.mark.parametrize(
    ("strides", "low", "part"),
    [((2, 2, 2, 2, 2), 3, None), ((2, 2, 2, 2, 2), 2, "low"), ((2, 2, 2, -2, -2), 3, "units")],
)
def test_networks_of_other_packages_have_the_stated_strides(
    strides: tuple[int, ...], low: int, part: str | None
) -> None:
    """Maps would be drawn at the wrong positions: average pooling, for example, cannot be replaced by dilation."""
    architecture = Architecture(nn.Module(), layers(*strides), low, None, "fc.")
    if part is None:
        assert Backbone(architecture, output_stride=16, last=False).body_channels == 3
        return
    with pytest.raises(InvalidInput) as error:
        Backbone(architecture, output_stride=16, last=False)
    assert error.value.subject == f"Architecture.{part}" and error.value.hint is not None


def test_undilated_networks_equal_torchvision() -> None:
    torch.manual_seed(3)
    network = torchvision.models.mobilenet_v2(weights=None)
    state = network.state_dict()
    backbone, _ = make("mobilenet_v2", output_stride=32)
    backbone.load_state_dict({name: state["features." + _feature_name(name)] for name in backbone.state_dict()})
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(backbone.eval()(image).high, network.eval().features(image))


def _feature_name(name: str) -> str:
    part, _, rest = name.partition(".")
    if part == "last":
        return f"18.{rest}"
    number, _, rest = rest.partition(".")
    return f"{int(number) + (7 if part == 'high' else 0)}.{rest}"


def test_images_as_bytes_or_floats() -> None:
    normalise = Normalise((0.5, 0.4, 0.3), (0.5, 0.25, 0.1))
    pixels = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    from_bytes, from_floats = normalise(pixels), normalise(pixels.float() / 255)
    assert torch.equal(from_bytes, from_floats)
    assert from_bytes[0, 1, 0, 0] == pytest.approx((pixels[0, 1, 0, 0].item() / 255 - 0.4) / 0.25, abs=1e-6)


@every_architecture
def test_frozen_batchnorm_equals_batchnorm_in_evaluation_mode(name: str) -> None:
    """In double precision: in single precision, the rounding of 50 layers depends on the processor."""
    torch.manual_seed(1)
    plain, _ = make(name)
    randomised(plain).eval()
    frozen, _ = make(name)
    frozen.load_state_dict(plain.state_dict())
    freeze_batchnorm(frozen)
    frozen.double().train()
    image = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    expected, folded = plain.double()(image).high, frozen(image).high
    torch.testing.assert_close(folded / expected.abs().max(), expected / expected.abs().max(), rtol=0, atol=1e-9)

    weight = torch.rand_like(expected)
    (expected * weight).sum().backward()
    (folded * weight).sum().backward()
    convolutions = {key: p.grad for key, p in plain.named_parameters() if p.grad is not None and p.ndim == 4}
    gradients = {key: p.grad for key, p in frozen.named_parameters()}
    assert any(isinstance(part, FoldedConv2d) for part in frozen.modules())
    for key in convolutions:
        scale = convolutions[key].abs().max()
        torch.testing.assert_close(gradients[key] / scale, convolutions[key] / scale, rtol=1e-7, atol=1e-9)


def test_frozen_batchnorm_has_no_parameters_and_keeps_all_names() -> None:
    plain, _ = make("resnet50")
    frozen, _ = make("resnet50")
    freeze_batchnorm(frozen)
    assert frozen.state_dict().keys() == plain.state_dict().keys()
    assert all(parameter.ndim == 4 for parameter in frozen.parameters())
    before = {name: tensor.clone() for name, tensor in frozen.named_buffers()}
    frozen.train()(torch.rand(2, 3, 64, 64)).high.sum().backward()
    assert all(torch.equal(tensor, before[name]) for name, tensor in frozen.named_buffers())


def test_frozen_batchnorm_requires_weights() -> None:
    with pytest.raises(ValidationError):
        BackboneConfig(weights="none", freeze_batchnorm=True)


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(7)
    return torchvision.models.resnet18(weights=None).state_dict()


def load(path: Path, name: str = "resnet18") -> tuple[nn.Module, object]:
    return build_backbone(
        BackboneConfig.model_validate(
            {"name": name, "weights": {"path": str(path), "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}}
        )
    )


@pytest.mark.slow
def test_weights_from_files(tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    torch.save(weights, tmp_path / "plain.pth")
    torch.save({"state_dict": {f"module.{key}": value for key, value in weights.items()}}, tmp_path / "wrapped.pth")
    save_file(weights, tmp_path / "plain.safetensors")
    headless = {key: value for key, value in weights.items() if not key.startswith("fc.") and "num_b" not in key}
    torch.save(headless, tmp_path / "headless.pth")
    for name in ("plain.pth", "wrapped.pth", "plain.safetensors", "headless.pth"):
        backbone, origin = load(tmp_path / name)
        assert torch.equal(backbone.state_dict()["low.0.0.weight"], weights["conv1.weight"])
        assert torch.equal(backbone.state_dict()["high.3.conv2.weight"], weights["layer4.1.conv2.weight"])
        assert origin.description["file"] == name
        assert (origin.mean, origin.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


@pytest.mark.parametrize(
    "prefix", ["_orig_mod.", "module._orig_mod.", "model.", "encoder.backbone."], ids=lambda prefix: prefix[:-1]
)
def test_weights_saved_with_a_prefix(tmp_path: Path, weights: dict[str, torch.Tensor], prefix: str) -> None:
    """As torch.compile, Lightning and self-supervised pretraining do, perhaps beside other parts."""
    wrapped = {f"{prefix}{key}": value for key, value in weights.items() if not key.startswith("fc.")}
    torch.save({"state_dict": wrapped | {"projector.weight": torch.zeros(3)}}, tmp_path / "wrapped.pth")
    backbone, _ = load(tmp_path / "wrapped.pth")
    assert torch.equal(backbone.state_dict()["low.0.0.weight"], weights["conv1.weight"])
    assert torch.equal(backbone.state_dict()["high.3.bn2.running_var"], weights["layer4.1.bn2.running_var"])


def test_weights_of_two_networks_are_refused(tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    both = {f"{prefix}.{key}": value for prefix in ("encoder_q", "encoder_k") for key, value in weights.items()}
    torch.save({"state_dict": both}, tmp_path / "moco.pth")
    with pytest.raises(InvalidInput) as error:
        load(tmp_path / "moco.pth")
    assert "unknown: encoder_q.conv1.weight" in error.value.problem


def test_weights_of_another_architecture(tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    torch.save(weights, tmp_path / "r18.pth")
    for name, tensors in (
        ("mobilenet_v2", "312 tensors"),
        ("resnet50", "layer1.0.conv1.weight (expected [64, 64, 1, 1], got [64, 64, 3, 3])"),
    ):
        with pytest.raises(InvalidInput) as error:
            load(tmp_path / "r18.pth", name)
        assert error.value.subject == str(tmp_path / "r18.pth")
        assert tensors in error.value.problem


@pytest.mark.parametrize("name", ["absent.pth", "cut.pth", "cut.safetensors", "empty.pth", "other.pth", "pickled.pth"])
def test_invalid_weights(tmp_path: Path, weights: dict[str, torch.Tensor], name: str) -> None:
    torch.save(weights, tmp_path / "cut.pth")
    content = (tmp_path / "cut.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(content[: len(content) // 2])
    (tmp_path / "cut.safetensors").write_bytes(content[:100])
    (tmp_path / "empty.pth").touch()
    torch.save({"epoch": 3}, tmp_path / "other.pth")
    torch.save(nn.Linear(2, 2), tmp_path / "pickled.pth")
    with pytest.raises(InvalidInput) as error:
        load(tmp_path / name)
    assert error.value.subject == str(tmp_path / name)
    assert "weights_only" not in str(error.value), "torch recommends an unsafe setting"


@pytest.mark.parametrize(
    "content",
    [b"<!DOCTYPE html>", b"version https://git-lfs.github.com/spec/v1\n", b"\0" * 9],
    ids=["page", "lfs", "0"],
)
def test_a_failed_download_is_not_a_pickle(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "saved.pth").write_bytes(content)
    with pytest.raises(InvalidInput) as error:
        load(tmp_path / "saved.pth")
    assert "not written by torch.save" in error.value.problem


def test_a_file_without_a_state_dict_names_its_keys(tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    torch.save({"model_ema": weights, "epoch": 3}, tmp_path / "ema.pth")
    with pytest.raises(InvalidInput) as error:
        load(tmp_path / "ema.pth")
    assert "got 'model_ema' (OrderedDict), 'epoch' (int)" in str(error.value)


def test_download_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise URLError("Temporary failure in name resolution")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", no_network)
    with pytest.raises(RunFailed) as error:
        build_backbone(BackboneConfig(name="resnet18"))
    assert error.value.subject == "backbone.weights"


@needs_shared_data
def test_local_mobilenet() -> None:
    path = SHARED_DATA / "weights" / "mobilenet_v2_imagenet_bnfolded.pth"
    config = {"weights": {"path": str(path), "mean": [0.5] * 3, "std": [0.5] * 3}, "freeze_batchnorm": True}
    backbone, origin = build_backbone(BackboneConfig.model_validate({**config, "output_stride": 32}))
    network = torchvision.models.mobilenet_v2(weights=None)
    network.load_state_dict(torch.load(path, weights_only=True))
    image = torch.rand(1, 3, 96, 96)
    normalised = Normalise(origin.mean, origin.std)(image)
    assert torch.allclose(normalised, image * 255 / 127.5 - 1, atol=1e-6)
    with torch.no_grad():
        expected = network.eval().features(normalised)
        torch.testing.assert_close(backbone.train()(normalised).high, expected, rtol=1e-3, atol=1e-3)
