"""`classify`, `cam`, `segment` and `predict` together: what applies to several of them, on small coloured images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from learning import BACKBONE, CLASSES, SMALL_TRAINING, coloured_dataset, run_stage
from onethread import one_thread
from pydantic import ValidationError

from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import read_mask
from wsss.models.windows.tile_windows import Tiling
from wsss.stages import cam, classify, predict, segment

__all__ = ["one_thread"]  # a fixture of every test here


def test_single_image_of_a_single_class(tmp_path: Path) -> None:
    classes = Classes(("background", "red"), ((0,), (7,)))
    data = coloured_dataset(tmp_path / "data", train=1, val=1, classes=classes)
    with pytest.raises(InvalidInput) as error:
        run_stage(classify.STAGE, SMALL_TRAINING, tmp_path / "alone", data)
    assert "'red'" in error.value.problem and "stage tiles" in str(error.value.hint)
    train = (*data.split("train"), replace(data.split("val")[0], labels=()))
    data = Dataset(data.name, data.root, data.classes, {**data.splits, "train": train})
    run_stage(classify.STAGE, SMALL_TRAINING | {"val": "val"}, tmp_path / "c", data)
    run_stage(cam.STAGE, {"scales": [1]}, tmp_path / "m", data, classifier=tmp_path / "c")
    data = Dataset(data.name, data.root, data.classes, {**data.splits, "train": data.split("train")[:1]})
    config = SMALL_TRAINING | {"head": "deeplabv3"}
    result = run_stage(segment.STAGE, config, tmp_path / "s", data, masks=tmp_path / "data")
    assert result.metrics["images"] == 1
    run_stage(predict.STAGE, {}, tmp_path / "p", data, segmenter=tmp_path / "s")
    assert set(np.unique(read_mask(tmp_path / "p/masks/val0.png"))) <= {0, 7}


def test_networks_of_other_classes_are_refused(classified: Path, segmented: Path, tmp_path: Path) -> None:
    other = Classes(("background", "red", "blue"), CLASSES.values)
    data = coloured_dataset(tmp_path / "data", classes=other)
    for stage, name, folder in ((cam, "classifier", classified), (predict, "segmenter", segmented)):
        with pytest.raises(InvalidInput) as error:
            run_stage(stage.STAGE, {}, tmp_path / "m", data, **{name: folder})
        assert error.value.subject == str(folder)
        assert "red, green" in error.value.problem and "red, blue" in error.value.problem


def test_reduced_images_are_noted(data: Dataset, classified: Path, segmented: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    expected = {"max_side": 22, "images": 2}
    config = {"splits": ["val"], "scales": [1], "max_side": 22}
    result = run_stage(cam.STAGE, config, tmp_path / "cam", data, lines=lines, classifier=classified)
    assert result.metrics["reduced"] == result.provenance["cam"]["reduced"] == expected
    result = run_stage(predict.STAGE, {"max_side": 22}, tmp_path / "predict", data, lines=lines, segmenter=segmented)
    assert result.metrics["reduced"] == result.provenance["predict_reduced"] == expected
    notes = [line for line in lines if "2 of 2 images" in line and "22 pixels" in line]
    assert [line.split(":")[1].strip() for line in notes] == ["cam", "predict"]
    result = run_stage(predict.STAGE, {"max_side": 44}, tmp_path / "complete", data, segmenter=segmented)
    assert "reduced" not in result.metrics and "tiled" not in result.metrics


def test_images_predicted_in_tiles_are_noted(
    data: Dataset, classified: Path, segmented: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blockwise = "wsss.models.segmentation_networks.blockwise_prediction"
    monkeypatch.setattr(f"{blockwise}.MAX_PIXELS", 1000)
    monkeypatch.setattr(f"{blockwise}.TILING", Tiling(64, 32))
    lines: list[str] = []
    tiled = {"images": 2, "tile": 64, "overlap": 32}
    config = {"scales": [2]}
    result = run_stage(predict.STAGE, config, tmp_path / "p", data, lines=lines, segmenter=segmented)
    assert result.metrics["tiled"] == result.provenance["predict_tiled"] == tiled and "reduced" not in result.metrics
    (line,) = [line for line in lines if "tiles" in line]
    assert "2 of 2 images" in line and "val0, val1" in line and "max_side" in line
    sides = {"tile": 64, "overlap": 32}
    for stage, folders in ((predict, {"segmenter": segmented}), (cam, {"classifier": classified})):
        chosen = config | sides | {"splits": ["val"]}
        result = run_stage(stage.STAGE, chosen, tmp_path / f"set-{stage.STAGE.name}", data, lines=lines, **folders)
        stated = result.provenance["cam"]["tiled"] if stage is cam else result.provenance["predict_tiled"]
        assert result.metrics["tiled"] == stated == tiled
    names = [path.name for path in (tmp_path / "p/masks").iterdir()]
    assert [(tmp_path / f"set-predict/masks/{name}").read_bytes() for name in names] == [
        (tmp_path / f"p/masks/{name}").read_bytes() for name in names
    ]


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"overlap": 64}, "overlap requires tile"),
        ({"tile": 128, "overlap": 96}, "at most half of tile"),
        ({"tile": 1024, "max_side": 512}, "no image exceeds 1024"),
        ({"tile": 32}, "tile"),
    ],
)
def test_invalid_tiles(config: dict[str, Any], problem: str) -> None:
    for model in (predict.PredictConfig, cam.CamConfig):
        with pytest.raises(ValidationError, match=problem):
            model.model_validate({"max_side": None, **config})


def test_tiles_that_a_stage_cannot_use(data: Dataset, classified: Path, segmented: Path, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="adapt_batchnorm"):
        predict.PredictConfig.model_validate({"tile": 128, "adapt_batchnorm": 0.5})
    with pytest.raises(ValidationError, match="tile requires method cam"):
        cam.CamConfig.model_validate({"tile": 128, "method": "layercam"})
    for stage, folders in ((predict, {"segmenter": segmented}), (cam, {"classifier": classified})):
        with pytest.raises(InvalidInput) as error:
            run_stage(stage.STAGE, {"tile": 100, "max_side": None}, tmp_path / "x", data, **folders)
        assert error.value.subject == f"{stage.STAGE.name}.tile" and error.value.found == 100


@pytest.mark.slow
@pytest.mark.parametrize("stage", [classify, segment])
def test_training_on_reduced_images(data: Dataset, tmp_path: Path, stage: Any) -> None:
    """Reducing to the size of the images changes nothing, to a smaller size changes the weights."""
    weights = {}
    for side in (None, 44, 22):
        config = {**SMALL_TRAINING, "epochs": 1, "max_side": side}
        config |= {"labels": "ground-truth", "head_channels": 8} if stage is segment else {}
        run_stage(stage.STAGE, config, tmp_path / str(side), data)
        weights[side] = (tmp_path / str(side) / "model.safetensors").read_bytes()
    assert weights[None] == weights[44] != weights[22]


def test_missing_weights_are_refused_before_the_run(data: Dataset, tmp_path: Path) -> None:
    backbone = {"name": "mobilenet_v2", "weights": {"path": str(tmp_path / "none.pth")}}
    for stage in (classify.STAGE, segment.STAGE):
        config = stage.config.model_validate({"backbone": backbone})
        with pytest.raises(InvalidInput) as error:
            stage.check(config, data)
        assert error.value.subject == str(tmp_path / "none.pth")


def test_invalid_weights_are_refused_before_the_folder_is_emptied(data: Dataset, tmp_path: Path) -> None:
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), tmp_path / "r18.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "r18.pth").read_bytes()[:1000])
    for name in ("r18.pth", "cut.pth"):
        for stage in (classify.STAGE, segment.STAGE):
            config = stage.config.model_validate({"backbone": {"weights": {"path": str(tmp_path / name)}}})
            with pytest.raises(InvalidInput) as error:
                stage.prepare(config, data)
            assert error.value.subject == str(tmp_path / name)
    fits = {"backbone": {"name": "resnet18", "weights": {"path": str(tmp_path / "r18.pth")}}}
    segment.STAGE.prepare(segment.STAGE.config.model_validate(fits), data)


@pytest.mark.slow
def test_training_learns(tmp_path: Path) -> None:
    """On easy images both networks learn their classes; `test_ablation_signs.py` trains a classifier with a trunk."""
    data = coloured_dataset(tmp_path / "data", train=16, val=8, size=(48, 48))
    training = {"epochs": 15, "batch_size": 8, "augmentation": {"size": 48, "colour": None}}
    config = training | {
        "convnet": {"widths": [16, 16], "wide": 2, "stride": 2},
        "optimiser": {"name": "adamw", "lr": 0.01, "head_lr_factor": 1},
        "val": "val",
    }
    assert run_stage(classify.STAGE, config, tmp_path / "c", data).metrics["val_map"] > 0.9
    config = training | {
        "backbone": BACKBONE,
        "optimiser": {"name": "adamw", "lr": 0.003, "head_lr_factor": 3},
        "augmentation": {"size": 48, "colour": None, "scale": [0.9, 1.1]},
        "head_channels": 32,
    }
    run_stage(segment.STAGE, config, tmp_path / "s", data, masks=tmp_path / "data")
    run_stage(predict.STAGE, {}, tmp_path / "p", data, segmenter=tmp_path / "s")
    right = total = 0
    for sample in data.split("val"):
        assert sample.mask is not None
        truth = read_mask(sample.mask)
        right += int(((read_mask(tmp_path / f"p/masks/{sample.id}.png") == truth) & (truth > 0)).sum())
        total += int((truth > 0).sum())
    assert right / total > 0.6
