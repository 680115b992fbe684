"""`affinity`, `propagate` and `par` on small coloured images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import learning
import numpy as np
import pytest
import torch
from learning import BACKBONE, CLASSES, coloured_dataset, contents, run_stage, write_corrected, write_maps
from onethread import one_thread

from wsss.data.dataset import Dataset
from wsss.errors import InvalidInput
from wsss.io.files.stage_files import boundary_path, cam_path, mask_path
from wsss.io.rasters.cams import Cams, read_cams, write_cams
from wsss.io.rasters.label_masks import write_mask
from wsss.models.classifier import build_classifier, save_classifier
from wsss.models.config import ClassifierConfig
from wsss.stages import STAGES
from wsss.validation import validate

__all__ = ["one_thread"]  # a fixture of every test here

TRAINING: dict[str, Any] = {"epochs": 3, "batch_size": 2, "augmentation": {"size": 32}}
WALK: dict[str, Any] = {"steps": 32}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, its classifier and maps, masks with uncertain pixels, and a boundary network."""
    torch.set_num_threads(1)
    workspace = tmp_path_factory.mktemp("affinity")
    data = dataset(workspace)
    torch.manual_seed(0)
    classifier = build_classifier(ClassifierConfig.model_validate({"backbone": BACKBONE}), len(CLASSES.foreground))
    save_classifier(workspace / "classify", classifier, CLASSES)
    write_maps(workspace / "cam", data)
    run_stage(STAGES["pseudo"], {"policy": {"name": "fixed"}}, workspace / "sure", data, cams=workspace / "cam")
    train(workspace, workspace / "affinity")
    return workspace


def dataset(workspace: Path) -> Dataset:
    return coloured_dataset(workspace / "data")


def train(workspace: Path, out: Path, **keys: Any) -> Any:
    folders = {"classifier": workspace / "classify", "masks": workspace / "sure"}
    return run_stage(STAGES["affinity"], TRAINING | keys, out, dataset(workspace), **folders)


def propagate(workspace: Path, out: Path, config: dict[str, Any], **keys: Any) -> Any:
    folders = {"cams": workspace / "cam", "boundaries": workspace / "affinity"}
    return run_stage(STAGES["propagate"], WALK | config, out, dataset(workspace), **folders | keys)


def test_corrected_masks_are_sure_pixels(workspace: Path, tmp_path: Path) -> None:
    corrected = {"train0": np.full((36, 44), 2, np.uint8)}
    write_corrected(tmp_path / "c", corrected)
    plain = train(workspace, tmp_path / "plain", epochs=1)
    result = train(workspace, tmp_path / "corrected", epochs=1, corrections=tmp_path / "c")
    assert result.metrics["train_loss"] != plain.metrics["train_loss"]
    assert result.metrics["corrected_masks"] == {"images": 1, "of": 4, "labelled_fraction": 1}
    assert result.provenance["supervision"].endswith("and corrected masks")
    assert "corrected_masks" not in plain.provenance


def test_training_is_resumed_in_the_middle_of_an_epoch(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    def stop(bar: Any, count: int) -> None:
        bar.advanced += count
        if bar.advanced == 3:
            raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(learning.Silent, "_advance", stop)
        train(workspace, tmp_path, checkpoint_steps=1)
    assert not (tmp_path / "model.safetensors").exists()
    train(workspace, tmp_path, checkpoint_steps=1)
    assert contents(tmp_path) == contents(workspace / "affinity")
    assert set(contents(tmp_path)) == {"model.safetensors", "model.json", "history.csv"}


def test_maps_have_the_format_of_cam_and_absent_classes_none(workspace: Path, tmp_path: Path) -> None:
    result = propagate(workspace, tmp_path, {})
    for sample in dataset(workspace).split("train"):
        before, after = read_cams(cam_path(workspace / "cam", sample.id)), read_cams(cam_path(tmp_path, sample.id))
        assert (after.classes, after.size, after.maps.shape) == (before.classes, before.size, before.maps.shape)
        np.testing.assert_allclose(after.maps.max((1, 2)), 1)
        assert not np.allclose(after.maps, before.maps)
    assert result.metrics["images"] == 4 and 0 < result.metrics["mean_activation"] < 1
    run_stage(STAGES["pseudo"], {}, tmp_path / "p", dataset(workspace), cams=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["learned", "colour", "par"])
def test_workers_and_a_restart_do_not_change_results(workspace: Path, tmp_path: Path, stage: str) -> None:
    def run(out: Path, workers: int, lines: list[str] | None = None) -> None:
        keys: dict[str, Any] = {"workers": workers, "lines": lines, "cams": workspace / "cam"}
        if stage == "par":
            run_stage(STAGES["par"], {}, out, dataset(workspace), **keys)
            return
        if stage == "learned":
            keys["boundaries"] = workspace / "affinity"
        run_stage(STAGES["propagate"], WALK | {"affinity": stage}, out, dataset(workspace), **keys)

    run(tmp_path / "one", 0)
    expected = contents(tmp_path / "one")
    run(tmp_path / "two", 2)
    assert contents(tmp_path / "two") == expected
    cam_path(tmp_path / "one", "train1").unlink()
    cam_path(tmp_path / "one", "train2").write_bytes(b"half a file")
    if stage == "learned":
        boundary_path(tmp_path / "one", "train3").write_bytes(b"half a file")
    lines: list[str] = []
    run(tmp_path / "one", 0, lines)
    assert contents(tmp_path / "one") == expected
    assert "one: resumed at 2/4" in lines


def test_no_maps_and_maps_of_zeros_stay(workspace: Path, tmp_path: Path) -> None:
    data = dataset(workspace)
    for sample, count in zip(data.split("train"), (0, 1, 1, 1), strict=True):
        write_cams(
            cam_path(tmp_path / "cam", sample.id), Cams(np.zeros((count, 9, 11), np.float32), (1,) * count, (36, 44))
        )
    propagate(workspace, tmp_path / "walk", {}, cams=tmp_path / "cam")
    run_stage(STAGES["par"], {}, tmp_path / "par", data, cams=tmp_path / "cam")
    for folder in ("walk", "par"):
        maps = [read_cams(cam_path(tmp_path / folder, sample.id)).maps for sample in data.split("train")]
        assert [len(class_map) for class_map in maps] == [0, 1, 1, 1]
        assert not any(class_map.any() for class_map in maps)


@pytest.mark.parametrize(
    "key", [{"beta": 3}, {"steps": 64}, {"boundary_factor": False}, {"radius": 3}, {"max_side": 22}]
)
def test_every_setting_changes_the_maps(workspace: Path, tmp_path: Path, key: dict[str, Any]) -> None:
    propagate(workspace, tmp_path / "a", {})
    propagate(workspace, tmp_path / "b", key)
    maps = [read_cams(cam_path(tmp_path / run, "train0")).maps for run in "ab"]
    assert maps[0].shape != maps[1].shape or np.abs(maps[0] - maps[1]).max() > 1e-3


@pytest.mark.parametrize(("affinity", "ids"), [("learned", []), ("colour", ["affinity"]), ("features", ["affinity"])])
def test_learned_affinities_and_a_network_belong_together(affinity: str, ids: list[str]) -> None:
    stage = STAGES["propagate"]
    with pytest.raises(InvalidInput) as error:
        stage.check_inputs(validate(stage.config, {"affinity": affinity}, where="propagate"), {"boundaries": ids})
    assert error.value.subject == "propagate"


def test_a_sigma_without_colours_is_refused() -> None:
    with pytest.raises(InvalidInput):
        validate(STAGES["propagate"].config, {"colour_sigma": 5}, where="propagate")


@pytest.mark.parametrize("dilations", [(0,), (1, -8), (1000000,), (1, 2, 1)])
def test_dilations_are_distances(dilations: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput):
        validate(STAGES["par"].config, {"dilations": dilations}, where="par")


def test_supervision_of_the_boundaries_is_stated(workspace: Path, tmp_path: Path) -> None:
    """Masks from an unknown source do not become image-level labels."""
    assert train(workspace, tmp_path / "a", epochs=1).provenance["supervision"] == "masks of unstated origin"
    assert STAGES["propagate"].inputs["boundaries"].nested


def test_masks_without_any_class_are_refused_before_training(workspace: Path, tmp_path: Path) -> None:
    for sample in dataset(workspace).split("train"):
        write_mask(mask_path(tmp_path / "masks", sample.id), np.zeros((36, 44), np.uint8))
    folders = {"classifier": workspace / "classify", "masks": tmp_path / "masks"}
    with pytest.raises(InvalidInput) as error:
        run_stage(STAGES["affinity"], TRAINING, tmp_path / "a", dataset(workspace), **folders)
    assert error.value.subject == str(tmp_path / "masks" / "masks")


def test_the_colour_walk_fills_the_square(workspace: Path, tmp_path: Path) -> None:
    """From a single element inside, the map spreads over the square and not beyond."""
    data = dataset(workspace)
    sample = data.split("train")[0]
    source = read_cams(cam_path(workspace / "cam", sample.id))
    inside = source.maps[0] > 0.5
    point = np.zeros_like(source.maps)
    point[(0, *np.argwhere(inside)[len(np.argwhere(inside)) // 2])] = 1
    one = Dataset("one", data.root, data.classes, {"train": (sample,)})
    write_cams(cam_path(tmp_path / "cam", sample.id), Cams(point, source.classes, source.size))
    config = {"affinity": "colour", "steps": 64, "boundary_factor": False}
    run_stage(STAGES["propagate"], config, tmp_path / "walk", one, cams=tmp_path / "cam")
    walked = read_cams(cam_path(tmp_path / "walk", sample.id)).maps[0]
    eroded = inside[:-1, :-1] & inside[1:, 1:]
    assert np.median(walked[:-1, :-1][eroded]) > 5 * np.median(walked[~inside])


@pytest.mark.parametrize("stage", ["propagate", "par"])
def test_images_without_maps_are_refused_before_anything_is_written(
    workspace: Path, tmp_path: Path, stage: str
) -> None:
    data = dataset(workspace)
    write_maps(tmp_path / "cam", data)
    cam_path(tmp_path / "cam", "train2").unlink()
    config = {"affinity": "colour"} if stage == "propagate" else {}
    with pytest.raises(InvalidInput) as error:
        run_stage(STAGES[stage], config, tmp_path / "out", data, cams=tmp_path / "cam")
    assert error.value.subject == str(tmp_path / "cam") and "train2" in error.value.problem
    assert not (tmp_path / "out" / "cams").exists()


def test_the_folder_of_map_files_itself_is_explained(workspace: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        run_stage(STAGES["par"], {}, tmp_path / "out", dataset(workspace), cams=workspace / "cam" / "cams")
    assert error.value.hint == "Pass the folder that contains cams/ID.npz."


def test_an_image_without_a_mask_is_refused(workspace: Path, tmp_path: Path) -> None:
    data = dataset(workspace)
    run_stage(STAGES["pseudo"], {"policy": {"name": "fixed"}}, tmp_path / "sure", data, cams=workspace / "cam")
    mask_path(tmp_path / "sure", "train1").unlink()
    folders = {"classifier": workspace / "classify", "masks": tmp_path / "sure"}
    with pytest.raises(InvalidInput) as error:
        run_stage(STAGES["affinity"], TRAINING, tmp_path / "a", data, **folders)
    assert error.value.subject == str(tmp_path / "sure" / "masks")
    assert not (tmp_path / "a" / "model.safetensors").exists()


def test_a_network_of_another_kind_is_refused(workspace: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        propagate(workspace, tmp_path, {}, boundaries=workspace / "classify")
    assert str(workspace / "classify") in str(error.value.subject)
