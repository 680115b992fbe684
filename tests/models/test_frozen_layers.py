"""``backbone.freeze_to_stride``: which layers keep their weights, and which networks are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import nn

from wsss.errors import InvalidInput
from wsss.models.backbones import build_architecture, build_backbone, check_weights_fit
from wsss.models.classifier import CAMClassifier
from wsss.models.config import BackboneConfig, TrainedClassifierConfig
from wsss.models.weights.initial import Origin
from wsss.train.config import AdamWConfig
from wsss.train.tasks.sampler_training import sampler_groups

ORIGIN = Origin({"weights": "file"}, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
FIRST = {  # prefixes of the parameters of torchvision's and timm's networks up to stride 4, and up to stride 8
    ("resnet18", 4): ("low.0.", "low.1.", "low.2."),
    ("resnet18", 8): ("low.",),
    ("mobilenet_v2", 4): ("low.0.", "low.1.", "low.2.", "low.3."),
    ("mobilenet_v2", 8): ("low.",),
    ("timm/tf_efficientnet_lite0", 4): ("high.conv_stem.", "high.blocks.0.", "high.blocks.1."),
    ("timm/tf_efficientnet_lite0", 8): ("high.conv_stem.", *(f"high.blocks.{n}." for n in range(3))),
    ("timm/test_convnext", 8): ("high.stem.", "high.stages.0.", "high.stages.1."),
}


def config(name: str, stride: int | None, **keys: object) -> BackboneConfig:
    weights = {"path": "unused"}
    return BackboneConfig.model_validate(
        {"name": name, "freeze_batchnorm": True, "freeze_to_stride": stride, "weights": weights, **keys}
    )


def build(name: str, stride: int | None, **keys: object) -> nn.Module:
    return build_backbone(config(name, stride, **keys), origin=ORIGIN)[0]


@pytest.mark.parametrize(("name", "stride"), FIRST)
def test_layers_up_to_the_stride_are_frozen(name: str, stride: int) -> None:
    native = {"output_stride": None} if name.startswith("timm/") else {}
    trunk = build(name, stride, **native)
    frozen = {key for key, parameter in trunk.named_parameters() if not parameter.requires_grad}
    assert frozen == {key for key, _ in trunk.named_parameters() if key.startswith(FIRST[name, stride])}
    assert 0 < len(frozen) < len(list(trunk.parameters()))
    assert trunk.training


@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_a_training_step_changes_only_the_other_layers(output_stride: int) -> None:
    torch.manual_seed(0)
    trunk = build("resnet18", 8, output_stride=output_stride).train()
    before = {key: value.clone() for key, value in trunk.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in trunk.parameters() if p.requires_grad], lr=1.0)
    features = trunk(torch.rand(2, 3, 64, 64))
    assert not features.low.requires_grad  # no gradients are computed for the frozen layers
    features.high.square().mean().backward()
    optimiser.step()
    after = trunk.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed == {key for key, parameter in trunk.named_parameters() if parameter.requires_grad}
    assert all(key.startswith(("high.", "last.")) for key in changed)


def test_frozen_layers_compute_the_same_in_training() -> None:
    trunk, images = build("mobilenet_v2", 4), torch.rand(2, 3, 64, 96)
    before = trunk.eval().features(images)[0]
    optimiser = torch.optim.AdamW([p for p in trunk.train().parameters() if p.requires_grad], lr=0.1)
    during = trunk.features(images)
    during[-1].mean().backward()
    optimiser.step()
    assert torch.equal(during[0], before)
    assert torch.equal(trunk.eval().features(images)[0], before)


def test_training_a_trunk_with_samplers_keeps_frozen_layers() -> None:
    settings = TrainedClassifierConfig(backbone=config("mobilenet_v2", 4))
    classifier = CAMClassifier(settings, build("mobilenet_v2", 4), ORIGIN, 2)
    groups = sampler_groups(
        classifier, None, AdamWConfig(), trainable=["trunk", "head"], offset_factor=1, kernel_factor=1
    )
    trained = {key for key, parameter in classifier.named_parameters() if parameter.requires_grad}
    assert "backbone.low.4.conv.0.0.weight" in trained
    assert not any(key.startswith(tuple(f"backbone.{part}" for part in FIRST["mobilenet_v2", 4])) for key in trained)
    assert groups


def test_batchnorm_must_be_frozen() -> None:
    with pytest.raises(ValidationError, match="freeze_to_stride requires freeze_batchnorm"):
        config("resnet18", 4, freeze_batchnorm=False)
    with pytest.raises(ValidationError):
        config("resnet18", 16)


@pytest.mark.parametrize("name", ["timm/test_vit", "timm/swin_tiny_patch4_window7_224"])
def test_networks_without_such_a_layer_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput) as error:
        build(name, 4, output_stride=None)
    refusal = error.value
    assert (refusal.subject, refusal.found, refusal.allowed) == ("backbone.freeze_to_stride", 4, "null")
    assert "freeze_to_stride" in str(refusal.hint)


def test_the_early_check_refuses_as_building_does(tmp_path: Path) -> None:
    import timm

    path = tmp_path / "vit.safetensors"
    save_file(timm.create_model("test_vit").state_dict(), path)
    with pytest.raises(InvalidInput) as error:
        check_weights_fit(config("timm/test_vit", 4, output_stride=None, weights={"path": str(path)}))
    assert error.value.subject == "backbone.freeze_to_stride"


def test_a_weights_file_is_loaded_before_layers_are_frozen(tmp_path: Path) -> None:
    network = build_architecture("mobilenet_v2").network
    path = tmp_path / "mobilenet.safetensors"
    save_file(network.state_dict(), path)
    trunk, _ = build_backbone(config("mobilenet_v2", 4, weights={"path": str(path)}))
    stem = trunk.low[0][0].weight
    assert not stem.requires_grad
    assert torch.equal(stem, network.features[0][0].weight)
