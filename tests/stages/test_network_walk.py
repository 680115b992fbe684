"""`propagate` on features and on self-attention of networks, on small coloured images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learning import BACKBONE, CLASSES, coloured_dataset, contents, run_stage, write_maps
from numpy.typing import NDArray
from onethread import one_thread

from wsss.errors import InvalidInput
from wsss.io.files.stage_files import cam_path
from wsss.io.rasters.cams import Cams, read_cams, write_cams
from wsss.io.rasters.rgb_images import read_image
from wsss.models.affinity_networks.walk_network import load_walk_network
from wsss.models.classifier import build_classifier, load_classifier, save_classifier
from wsss.models.config import ClassifierConfig
from wsss.refine.attention_walk import attention_transition, walk_on_patches
from wsss.refine.fixed_affinities import cosine_affinities
from wsss.refine.random_walk import transition_matrix, walk
from wsss.stages import STAGES
from wsss.validation import validate

__all__ = ["one_thread"]  # a fixture of every test here

PROPAGATE = STAGES["propagate"]
VIT: dict[str, Any] = {"name": "timm/test_vit", "output_stride": None, "weights": "none"}
FEATURES: dict[str, Any] = {"affinity": "features", "steps": 16}
ATTENTION: dict[str, Any] = {"affinity": "attention", "attention_blocks": 2, "beta": 1, "steps": 2}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with maps, and classifiers on a CNN and on a vision transformer."""
    pytest.importorskip("timm")
    torch.set_num_threads(1)
    workspace = tmp_path_factory.mktemp("walk")
    data = coloured_dataset(workspace / "data")
    write_maps(workspace / "cam", data)
    for name, backbone in (("cnn", BACKBONE), ("vit", VIT)):
        torch.manual_seed(0)
        classifier = build_classifier(ClassifierConfig.model_validate({"backbone": backbone}), len(CLASSES.foreground))
        for key, weight in classifier.named_parameters():
            if "attn.qkv.weight" in key:  # with its initial weights, every patch attends equally to all patches
                weight.data *= 8
        save_classifier(workspace / name, classifier, CLASSES)
    return workspace


def propagate(workspace: Path, out: Path, config: dict[str, Any], network: str | None, **keys: Any) -> Any:
    folders = {"cams": workspace / "cam"} | ({} if network is None else {"classifier": workspace / network})
    return run_stage(PROPAGATE, config, out, coloured_dataset(workspace / "data"), **folders | keys)


def maps_of(folder: Path, image_id: str = "train0") -> NDArray[np.float32]:
    return read_cams(cam_path(folder, image_id)).maps


def expected(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((maps / maps.max((1, 2), keepdims=True)).astype(np.float16), np.float32)


@pytest.mark.parametrize("network", ["cnn", "vit"])
def test_features_of_a_classifier_are_the_affinities(workspace: Path, tmp_path: Path, network: str) -> None:
    result = propagate(workspace, tmp_path, FEATURES | {"feature_levels": [0, -1]}, network)
    image = torch.from_numpy(read_image(workspace / "data/images/train0.png")).permute(2, 0, 1)
    vectors = load_walk_network(workspace / network).vectors(image, (9, 11), (0, -1)).numpy()
    affinities, maps = cosine_affinities(vectors, 5), maps_of(workspace / "cam")
    transition = transition_matrix(affinities.pairs, (9, 11), radius=5, beta=10.0)
    walked = walk(maps * (1 - affinities.boundary), transition, 16)
    np.testing.assert_allclose(maps_of(tmp_path), expected(walked), atol=1e-3)
    assert not np.allclose(maps_of(tmp_path), maps, atol=0.01)
    stated = result.provenance["propagate"]
    assert stated["feature_levels"] == (0, -1) and stated["network_weights"] == "none"
    assert stated["network"] == ("timm/test_resnet" if network == "cnn" else "timm/test_vit")
    assert "attention_blocks" not in stated and stated["radius"] == 5


def test_attention_of_a_classifier_is_the_affinity(workspace: Path, tmp_path: Path) -> None:
    result = propagate(workspace, tmp_path, ATTENTION, "vit")
    image = torch.from_numpy(read_image(workspace / "data/images/train0.png")).permute(2, 0, 1)
    network, maps = load_walk_network(workspace / "vit"), maps_of(workspace / "cam")
    rows, columns = (matrix.numpy() for matrix in network.patch_interpolation((36, 44), (9, 11)))
    transition = attention_transition(network.attention(image, 2).numpy(), 1.0)
    walked = walk_on_patches(maps, transition, rows, columns, 2)
    np.testing.assert_allclose(maps_of(tmp_path), expected(walked), atol=1e-3)
    assert np.ptp(maps_of(tmp_path)) > 0.01
    stated = {"affinity": "attention", "beta": 1, "steps": 2, "clip_quantile": 1, "attention_blocks": 2}
    assert result.provenance["propagate"] == stated | {"network": "timm/test_vit", "network_weights": "none"}


@pytest.mark.parametrize(
    ("base", "key"),
    [
        (FEATURES, {"beta": 30}),
        (FEATURES, {"steps": 64}),
        (FEATURES, {"radius": 3}),
        (FEATURES, {"boundary_factor": False}),
        (FEATURES, {"feature_levels": [0]}),
        (FEATURES, {"max_side": 22}),
        (ATTENTION, {"beta": 3}),
        (ATTENTION, {"steps": 1}),
        (ATTENTION, {"attention_blocks": 1}),
        (ATTENTION, {"max_side": 22}),
        (ATTENTION, {"clip_quantile": 0.5}),
    ],
)
def test_every_setting_changes_the_maps(
    workspace: Path, tmp_path: Path, base: dict[str, Any], key: dict[str, Any]
) -> None:
    propagate(workspace, tmp_path / "a", base, "vit")
    propagate(workspace, tmp_path / "b", base | key, "vit")
    one, other = maps_of(tmp_path / "a"), maps_of(tmp_path / "b")
    assert one.shape != other.shape or np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize("base", [FEATURES, ATTENTION])
def test_a_backbone_replaces_the_classifier(workspace: Path, tmp_path: Path, base: dict[str, Any]) -> None:
    """With the weights of a classifier's trunk from a file, its maps; with random weights, others."""
    classifier, _ = load_classifier(workspace / "vit")
    trunk: Any = classifier.backbone
    state = {name: value.clone() for name, value in trunk.high.state_dict().items()}
    state |= {f"norm.{name}": value.clone() for name, value in trunk.last.norm.state_dict().items()}
    torch.save(state, tmp_path / "weights.pt")
    backbone = VIT | {"weights": {"path": str(tmp_path / "weights.pt")}}
    result = propagate(workspace, tmp_path / "file", base | {"backbone": backbone}, None)
    propagate(workspace, tmp_path / "classifier", base, "vit")
    propagate(workspace, tmp_path / "random", base | {"backbone": VIT}, None, seed=5)
    assert np.array_equal(maps_of(tmp_path / "file"), maps_of(tmp_path / "classifier"))
    assert not np.array_equal(maps_of(tmp_path / "file"), maps_of(tmp_path / "random"))
    assert result.provenance["propagate"]["network_weights"].startswith("weights.pt (sha256 ")


@pytest.mark.parametrize(("base", "network"), [(FEATURES, "cnn"), (ATTENTION, "vit")])
def test_workers_and_a_restart_do_not_change_results(
    workspace: Path, tmp_path: Path, base: dict[str, Any], network: str
) -> None:
    propagate(workspace, tmp_path / "one", base, network)
    before = contents(tmp_path / "one")
    propagate(workspace, tmp_path / "two", base, network, workers=2)
    assert contents(tmp_path / "two") == before
    cam_path(tmp_path / "one", "train1").unlink()
    cam_path(tmp_path / "one", "train2").write_bytes(b"half a file")
    lines: list[str] = []
    propagate(workspace, tmp_path / "one", base, network, lines=lines)
    assert contents(tmp_path / "one") == before and "one: resumed at 2/4" in lines


@pytest.mark.parametrize(("base", "network"), [(FEATURES, "cnn"), (ATTENTION, "vit")])
def test_no_maps_and_maps_of_zeros_stay(workspace: Path, tmp_path: Path, base: dict[str, Any], network: str) -> None:
    for number, count in enumerate((0, 1, 1, 1)):
        maps = Cams(np.zeros((count, 9, 11), np.float32), (1,) * count, (36, 44))
        write_cams(cam_path(tmp_path / "cam", f"train{number}"), maps)
    propagate(workspace, tmp_path / "walk", base, network, cams=tmp_path / "cam")
    written = [maps_of(tmp_path / "walk", f"train{number}") for number in range(4)]
    assert [len(maps) for maps in written] == [0, 1, 1, 1] and not any(maps.any() for maps in written)


@pytest.mark.parametrize(
    ("config", "ids"),
    [
        (FEATURES, {}),
        (ATTENTION, {}),
        (FEATURES | {"backbone": VIT}, {"classifier": ["classify"]}),
        (FEATURES, {"classifier": ["classify"], "boundaries": ["affinity"]}),
        ({"affinity": "colour"}, {"classifier": ["classify"]}),
        ({}, {"classifier": ["classify"], "boundaries": ["affinity"]}),
    ],
)
def test_exactly_one_network_is_required(config: dict[str, Any], ids: dict[str, list[str]]) -> None:
    with pytest.raises(InvalidInput) as error:
        PROPAGATE.check_inputs(validate(PROPAGATE.config, config, where="propagate"), ids)
    assert error.value.subject == "propagate"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"affinity": "attention"}, "own number of steps"),
        ({"affinity": "attention", "steps": 256}, "own number of steps"),
        (ATTENTION | {"radius": 3}, "radius: 3 requires affinity: learned, colour or features"),
        (ATTENTION | {"boundary_factor": False}, "boundary_factor: false requires affinity"),
        ({"affinity": "colour", "backbone": VIT}, "backbone requires affinity: features or attention"),
        (FEATURES | {"backbone": {"freeze_batchnorm": True, "freeze_to_stride": 4}}, "freeze_to_stride has no effect"),
    ],
)
def test_settings_without_effect_are_refused(config: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput) as error:
        validate(PROPAGATE.config, config, where="propagate")
    assert words in error.value.message


def test_recorded_settings_are_accepted() -> None:
    recorded = validate(PROPAGATE.config, ATTENTION | {"backbone": VIT}, where="propagate")
    assert validate(PROPAGATE.config, recorded.model_dump(mode="json"), where="propagate") == recorded


@pytest.mark.parametrize(
    ("network", "config", "subject"),
    [
        ("cnn", ATTENTION, "affinity"),
        ("vit", ATTENTION | {"attention_blocks": 99}, "attention_blocks"),
        ("cnn", FEATURES | {"feature_levels": [7]}, "feature_levels"),
    ],
)
def test_unfit_networks_are_refused_before_anything_is_written(
    workspace: Path, tmp_path: Path, network: str, config: dict[str, Any], subject: str
) -> None:
    with pytest.raises(InvalidInput) as error:
        propagate(workspace, tmp_path / "out", config, network)
    assert error.value.subject == subject
    assert not (tmp_path / "out" / "cams").exists()
    backbone = BACKBONE if network == "cnn" else VIT
    with pytest.raises(InvalidInput) as error:
        PROPAGATE.prepare(validate(PROPAGATE.config, config | {"backbone": backbone}, where="propagate"), None)
    assert error.value.subject == subject


def test_a_missing_weights_file_is_refused(workspace: Path, tmp_path: Path) -> None:
    backbone = VIT | {"weights": {"path": str(tmp_path / "none.pt")}}
    with pytest.raises(InvalidInput) as error:
        propagate(workspace, tmp_path / "out", FEATURES | {"backbone": backbone}, None)
    assert error.value.subject == str(tmp_path / "none.pt")
