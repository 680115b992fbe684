"""`classify`, `cam`, `segment` and `predict` on small coloured images."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from learning import BACKBONE, CLASSES, SMALL_TRAINING, coloured_dataset, contents, run_stage
from onethread import one_thread
from pydantic import ValidationError

from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.data.sample import Sample
from wsss.errors import InvalidInput
from wsss.io.rasters.arrays import read_arrays
from wsss.io.rasters.label_masks import read_mask, voc_palette, write_mask
from wsss.io.rasters.rgb_images import write_png
from wsss.models.windows.tile_windows import Tiling
from wsss.stages import cam, classify, predict, segment

__all__ = ["one_thread"]  # a fixture of every test here

SEGMENT = {**SMALL_TRAINING, "head_channels": 8}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset and one finished stage of each kind."""
    torch.set_num_threads(1)
    workspace = tmp_path_factory.mktemp("learning")
    data = dataset(workspace)
    run_stage(classify.STAGE, SMALL_TRAINING | {"val": "val"}, workspace / "classify", data)
    run_stage(cam.STAGE, {"scales": [1, 0.5]}, workspace / "cam", data, classifier=workspace / "classify")
    run_stage(segment.STAGE, SEGMENT, workspace / "segment", data, masks=workspace / "data")
    run_stage(predict.STAGE, {"save_probabilities": True}, workspace / "predict", data, segmenter=workspace / "segment")
    return workspace


def dataset(workspace: Path, **keys: Any) -> Dataset:
    return coloured_dataset(workspace / "data", **keys)


def test_classify_makes_a_classifier_with_history_and_scores(workspace: Path, tmp_path: Path) -> None:
    data = dataset(workspace)
    result = run_stage(classify.STAGE, SMALL_TRAINING | {"val": "val"}, tmp_path / "again", data)
    assert contents(tmp_path / "again") == contents(workspace / "classify")
    assert set(contents(workspace / "classify")) == {"model.safetensors", "model.json", "history.csv"}
    assert result.metrics["images"] == 4
    assert result.metrics["steps"] == 4
    assert result.metrics["val_images"] == 2
    assert 0 <= result.metrics["val_map"] <= 1
    assert result.metrics["val_average_precision"].keys() <= {"red", "green"}
    assert result.provenance == {
        "backbone": "mobilenet_v2",
        "initial_weights": "none",
        "supervision": "image-level labels",
    }
    json.dumps(result.metrics, allow_nan=False)
    assert (workspace / "classify" / "history.csv").read_text().startswith("epoch,step,lr,train_loss,val_map,val_f1\n")


def test_classify_without_validation_and_resumed_after_saving(workspace: Path, tmp_path: Path) -> None:
    data = dataset(workspace)
    config = SMALL_TRAINING | {"checkpoint_steps": 1}
    first = run_stage(classify.STAGE, config, tmp_path / "a", data)
    assert "val_map" not in first.metrics
    complete = contents(tmp_path / "a")
    (tmp_path / "a" / "model.json").unlink()
    assert run_stage(classify.STAGE, config, tmp_path / "a", data).metrics == first.metrics
    assert contents(tmp_path / "a") == complete


def test_killed_between_checkpoint_and_result(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last checkpoint exists, the model does not: the metrics of the last epoch are the same."""
    data = dataset(workspace)
    config = SMALL_TRAINING | {"val": "val"}
    expected = run_stage(classify.STAGE, config, tmp_path / "a", data)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("wsss.models.classifier.save_classifier", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        run_stage(classify.STAGE, config, tmp_path / "b", data)
    assert (tmp_path / "b" / "checkpoint.pt").is_file()
    assert run_stage(classify.STAGE, config, tmp_path / "b", data).metrics == expected.metrics
    assert contents(tmp_path / "b") == contents(tmp_path / "a")


def test_single_image_of_a_single_class(tmp_path: Path) -> None:
    classes = Classes(("background", "red"), ((0,), (7,)))
    data = dataset(tmp_path, train=1, val=1, classes=classes)
    with pytest.raises(InvalidInput, match="'red'"):
        run_stage(classify.STAGE, SMALL_TRAINING, tmp_path / "alone", data)
    train = (*data.split("train"), replace(data.split("val")[0], labels=()))
    data = Dataset(data.name, data.root, data.classes, {**data.splits, "train": train})
    run_stage(classify.STAGE, SMALL_TRAINING | {"val": "val"}, tmp_path / "c", data)
    run_stage(cam.STAGE, {"scales": [1]}, tmp_path / "m", data, classifier=tmp_path / "c")
    data = Dataset(data.name, data.root, data.classes, {**data.splits, "train": data.split("train")[:1]})
    result = run_stage(segment.STAGE, SEGMENT | {"head": "deeplabv3"}, tmp_path / "s", data, masks=tmp_path / "data")
    assert result.metrics["images"] == 1
    run_stage(predict.STAGE, {}, tmp_path / "p", data, segmenter=tmp_path / "s")
    assert set(np.unique(read_mask(tmp_path / "p/masks/val0.png"))) <= {0, 7}


def test_a_class_in_every_image_gives_a_warning(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    train = tuple(Sample(s.id, s.image, (1, *(s.labels or ())[1:]), s.mask) for s in data.split("train"))
    data = Dataset(data.name, data.root, data.classes, {**data.splits, "train": train})
    lines: list[str] = []
    run_stage(classify.STAGE, SMALL_TRAINING | {"epochs": 1}, tmp_path / "c", data, lines=lines)
    (warning,) = [line for line in lines if line.startswith("warning")]
    assert "every image of split 'train' shows 'red'" in warning
    lines.clear()
    run_stage(classify.STAGE, SMALL_TRAINING | {"epochs": 1}, tmp_path / "d", dataset(tmp_path), lines=lines)
    assert not [line for line in lines if line.startswith("warning")]


def test_classes_without_positives_are_excluded(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    only_red = tuple(Sample(s.id, s.image, (1,), s.mask) for s in data.split("val"))
    data = Dataset(data.name, data.root, data.classes, {**data.splits, "val": only_red})
    metrics = run_stage(classify.STAGE, SMALL_TRAINING | {"val": "val", "epochs": 1}, tmp_path / "c", data).metrics
    assert metrics["val_classes_without_images"] == ["green"]
    assert metrics["val_average_precision"] == {"red": 1.0}
    assert metrics["val_map"] == 1.0


def test_images_without_labels_are_refused(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    train = data.split("train")
    unlabelled = Sample(train[0].id, train[0].image, None, train[0].mask)
    data = Dataset(data.name, data.root, data.classes, {**data.splits, "train": (unlabelled, *train[1:])})
    with pytest.raises(InvalidInput, match=r"1 of 4 images .*train0"):
        run_stage(classify.STAGE, SMALL_TRAINING, tmp_path / "c", data)
    with pytest.raises(InvalidInput, match="train0") as error:
        run_stage(cam.STAGE, {}, tmp_path / "m", data, classifier=tmp_path / "c")
    assert "cam.classes: predicted" in str(error.value.hint)


def test_missing_and_broken_maps_are_computed_again(workspace: Path, tmp_path: Path) -> None:
    data = dataset(workspace)
    config = {"scales": [1, 0.5], "batch_size": 2}
    run_stage(cam.STAGE, config, tmp_path / "complete", data, classifier=workspace / "classify")
    shutil.copytree(tmp_path / "complete", tmp_path / "cut")
    (tmp_path / "cut/cams/train1.npz").unlink()
    broken = tmp_path / "cut/cams/train2.npz"
    broken.write_bytes(broken.read_bytes()[:100])
    kept = (tmp_path / "cut/cams/train0.npz").stat().st_mtime_ns
    lines: list[str] = []
    run_stage(cam.STAGE, config, tmp_path / "cut", data, classifier=workspace / "classify", lines=lines)
    assert contents(tmp_path / "cut") == contents(tmp_path / "complete")
    (warning,) = lines
    assert warning.startswith("warning: ") and "train2.npz" in warning
    assert (tmp_path / "cut/cams/train0.npz").stat().st_mtime_ns > kept  # it shares a batch with train1


def test_maps_of_reduced_images(workspace: Path, tmp_path: Path) -> None:
    data = dataset(workspace)
    for name, config in (("complete", {}), ("same", {"max_side": 44}), ("small", {"max_side": 22}), ("half", {})):
        scales = [0.5] if name == "half" else [1]
        run_stage(cam.STAGE, config | {"scales": scales}, tmp_path / name, data, classifier=workspace / "classify")
    assert contents(tmp_path / "same") == contents(tmp_path / "complete")
    assert contents(tmp_path / "small") == contents(tmp_path / "half")
    assert contents(tmp_path / "small") != contents(tmp_path / "complete")


def test_networks_of_other_classes_are_refused(workspace: Path, tmp_path: Path) -> None:
    other = Classes(("background", "red", "blue"), CLASSES.values)
    data = dataset(tmp_path, classes=other)
    for stage, inputs in (
        (cam, {"classifier": workspace / "classify"}),
        (predict, {"segmenter": workspace / "segment"}),
    ):
        with pytest.raises(InvalidInput, match=r"red, green; .* red, blue"):
            run_stage(stage.STAGE, {}, tmp_path / "m", data, **inputs)


def test_predicted_masks_have_the_values_and_sizes_of_the_dataset(workspace: Path) -> None:
    for sample in dataset(workspace).split("val"):
        mask = read_mask(workspace / "predict/masks" / f"{sample.id}.png", size=(36, 44))
        assert set(np.unique(mask)) <= {0, 40, 90}
        arrays = read_arrays(workspace / "predict/probabilities" / f"{sample.id}.npz")
        assert arrays["probabilities"].shape == (3, 36, 44)
        assert arrays["probabilities"].dtype == np.float16
        np.testing.assert_allclose(arrays["probabilities"].astype(float).sum(0), 1, atol=2e-3)
        best = np.array([0, 40, 90])[arrays["probabilities"].argmax(0)]
        assert (best == mask).mean() > 0.98  # float16 ties aside
        from PIL import Image

        with Image.open(workspace / "predict/masks" / f"{sample.id}.png") as image:
            assert image.getpalette()[120:123] == voc_palette()[40].tolist()


def test_masks_of_another_dataset_have_its_values(workspace: Path, tmp_path: Path) -> None:
    """The same class names with other values on disk."""
    first = run_stage(predict.STAGE, {}, tmp_path / "p", dataset(workspace), segmenter=workspace / "segment")
    data = dataset(workspace)
    other = Dataset(data.name, data.root, Classes(CLASSES.names, ((5,), (7,), (3,))), data.splits)
    second = run_stage(predict.STAGE, {}, tmp_path / "q", other, segmenter=workspace / "segment")
    assert second.metrics == first.metrics
    for sample in data.split("val"):
        before, after = (read_mask(tmp_path / name / f"masks/{sample.id}.png") for name in "pq")
        np.testing.assert_array_equal(other.classes.encode(after, where="q"), CLASSES.encode(before, where="p"))


def test_predict_a_folder_with_scales_and_flip(workspace: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    write_png(images / "large.png", np.zeros((70, 40, 3), np.uint8))
    write_png(images / "tiny.PNG", np.zeros((1, 3, 3), np.uint8))
    (images / "notes.txt").write_text("no image")
    (images / "._large.png").write_bytes(b"what macOS puts beside a file")
    (images / "folder.png").mkdir()
    config = {"images": str(images), "scales": [1, 0.5], "flip": True, "max_side": 32}
    result = run_stage(predict.STAGE, config, tmp_path / "p", dataset(workspace), segmenter=workspace / "segment")
    assert sorted(path.name for path in (tmp_path / "p/masks").iterdir()) == ["large.png", "tiny.png"]
    assert read_mask(tmp_path / "p/masks/large.png").shape == (70, 40)
    assert read_mask(tmp_path / "p/masks/tiny.png").shape == (1, 3)
    assert result.provenance == {
        "predict_scales": [1, 0.5],
        "predict_flip": True,
        "predict_reduced": {"images": 1, "max_side": 32},
    }
    write_png(images / "tiny.jpg", np.zeros((4, 4, 3), np.uint8))
    run_stage(predict.STAGE, config, tmp_path / "q", dataset(workspace), segmenter=workspace / "segment")
    names = ["large.png", "tiny_PNG.png", "tiny_jpg.png"]
    assert sorted(path.name for path in (tmp_path / "q/masks").iterdir()) == names


def test_reduced_images_are_noted(workspace: Path, tmp_path: Path) -> None:
    data = dataset(workspace)
    lines: list[str] = []
    expected = {"max_side": 22, "images": 2}
    config = {"splits": ["val"], "scales": [1], "max_side": 22}
    result = run_stage(cam.STAGE, config, tmp_path / "cam", data, lines=lines, classifier=workspace / "classify")
    assert result.metrics["reduced"] == result.provenance["cam"]["reduced"] == expected
    result = run_stage(
        predict.STAGE, {"max_side": 22}, tmp_path / "predict", data, lines=lines, segmenter=workspace / "segment"
    )
    assert result.metrics["reduced"] == result.provenance["predict_reduced"] == expected
    notes = [line for line in lines if "2 of 2 images" in line and "22 pixels" in line]
    assert [line.split(":")[1].strip() for line in notes] == ["cam", "predict"]
    result = run_stage(predict.STAGE, {"max_side": 44}, tmp_path / "complete", data, segmenter=workspace / "segment")
    assert "reduced" not in result.metrics and "tiled" not in result.metrics


def test_images_predicted_in_tiles_are_noted(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blockwise = "wsss.models.segmentation_networks.blockwise_prediction"
    monkeypatch.setattr(f"{blockwise}.MAX_PIXELS", 1000)
    monkeypatch.setattr(f"{blockwise}.TILING", Tiling(64, 32))
    lines: list[str] = []
    data, tiled = dataset(workspace), {"images": 2, "tile": 64, "overlap": 32}
    config = {"scales": [2]}
    result = run_stage(predict.STAGE, config, tmp_path / "p", data, lines=lines, segmenter=workspace / "segment")
    assert result.metrics["tiled"] == result.provenance["predict_tiled"] == tiled and "reduced" not in result.metrics
    (line,) = [line for line in lines if "tiles" in line]
    assert "2 of 2 images" in line and "val0, val1" in line and "max_side" in line
    sides = {"tile": 64, "overlap": 32}
    for stage, inputs in ((predict, {"segmenter": "segment"}), (cam, {"classifier": "classify"})):
        folders = {name: workspace / folder for name, folder in inputs.items()}
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


def test_tiles_that_a_stage_cannot_use(workspace: Path, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="adapt_batchnorm"):
        predict.PredictConfig.model_validate({"tile": 128, "adapt_batchnorm": 0.5})
    with pytest.raises(ValidationError, match="tile requires method cam"):
        cam.CamConfig.model_validate({"tile": 128, "method": "layercam"})
    for stage, inputs in ((predict, {"segmenter": "segment"}), (cam, {"classifier": "classify"})):
        folders = {name: workspace / folder for name, folder in inputs.items()}
        with pytest.raises(InvalidInput) as error:
            run_stage(stage.STAGE, {"tile": 100, "max_side": None}, tmp_path / "x", dataset(workspace), **folders)
        assert error.value.subject == f"{stage.STAGE.name}.tile" and error.value.found == 100


@pytest.mark.parametrize("stage", [classify, segment])
def test_training_on_reduced_images(workspace: Path, tmp_path: Path, stage: Any) -> None:
    """Reducing to the size of the images changes nothing, to a smaller size changes the weights."""
    weights = {}
    for side in (None, 44, 22):
        config = {**SMALL_TRAINING, "epochs": 1, "max_side": side}
        config |= {"labels": "ground-truth", "head_channels": 8} if stage is segment else {}
        run_stage(stage.STAGE, config, tmp_path / str(side), dataset(workspace))
        weights[side] = (tmp_path / str(side) / "model.safetensors").read_bytes()
    assert weights[None] == weights[44] != weights[22]


def test_predict_refuses_to_write_into_its_images(workspace: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "photos/a.png", np.zeros((8, 8, 3), np.uint8))
    config = {"images": str(tmp_path / "photos")}
    for out in ("photos", "photos/out", "photos/../photos/deep/out"):
        with pytest.raises(InvalidInput, match=r"photos"):
            run_stage(predict.STAGE, config, tmp_path / out, dataset(workspace), segmenter=workspace / "segment")
    run_stage(predict.STAGE, config, tmp_path / "photos-out", dataset(workspace), segmenter=workspace / "segment")


def test_predict_needs_one_source(workspace: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="either splits or images"):
        run_stage(predict.STAGE, {"images": str(tmp_path), "splits": ["val"]}, tmp_path / "p", dataset(workspace))
    with pytest.raises(InvalidInput, match=str(tmp_path)):
        run_stage(predict.STAGE, {"images": str(tmp_path)}, tmp_path / "p", dataset(workspace))


def test_supervision_is_recorded(workspace: Path, tmp_path: Path) -> None:
    data = dataset(workspace)
    config = SEGMENT | {"epochs": 1}
    full = run_stage(segment.STAGE, config | {"labels": "ground-truth"}, tmp_path / "full", data)
    weak = run_stage(segment.STAGE, config, tmp_path / "weak", data, masks=workspace / "data")
    assert full.provenance["supervision"] == "ground-truth masks"
    assert weak.provenance["supervision"] == "masks of unstated origin"
    assert full.provenance["segmenter"] == "lraspp on mobilenet_v2"
    # The masks are the same files.
    assert contents(tmp_path / "full") == contents(tmp_path / "weak")
    assert {(read.split, read.kind) for read in segment.STAGE.reads(_config(config))} == {("train", "images")}
    reads = segment.STAGE.reads(_config(config | {"labels": "ground-truth"}))
    assert {(read.split, read.kind) for read in reads} == {("train", "images"), ("train", "masks")}


def _config(values: dict[str, Any]) -> Any:
    return segment.SegmentConfig.model_validate(values)


def test_missing_weights_are_refused_before_the_run(workspace: Path, tmp_path: Path) -> None:
    backbone = {"name": "mobilenet_v2", "weights": {"path": str(tmp_path / "none.pth")}}
    for stage in (classify.STAGE, segment.STAGE):
        config = stage.config.model_validate({"backbone": backbone})
        with pytest.raises(InvalidInput, match=r"none\.pth"):
            stage.check(config, dataset(workspace))


def test_invalid_weights_are_refused_before_the_folder_is_emptied(workspace: Path, tmp_path: Path) -> None:
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), tmp_path / "r18.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "r18.pth").read_bytes()[:1000])
    for name in ("r18.pth", "cut.pth"):
        for stage in (classify.STAGE, segment.STAGE):
            config = stage.config.model_validate({"backbone": {"weights": {"path": str(tmp_path / name)}}})
            with pytest.raises(InvalidInput, match=name):
                stage.prepare(config, dataset(workspace))
    fits = {"backbone": {"name": "resnet18", "weights": {"path": str(tmp_path / "r18.pth")}}}
    segment.STAGE.prepare(segment.STAGE.config.model_validate(fits), dataset(workspace))


def test_segment_requires_masks_of_all_images(workspace: Path, tmp_path: Path) -> None:
    data = dataset(workspace)
    with pytest.raises(InvalidInput) as error:
        run_stage(segment.STAGE, SEGMENT, tmp_path / "s", data)
    assert error.value.subject == "segment" and "labels: ground-truth" in str(error.value.hint)
    write_mask(tmp_path / "some/masks/train0.png", np.zeros((36, 44), np.uint8))
    with pytest.raises(InvalidInput, match="3 of 4 images of split 'train': train1, train2, train3"):
        run_stage(segment.STAGE, SEGMENT, tmp_path / "s", data, masks=tmp_path / "some")


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.full((36, 44), 3, np.uint8), "train2.*0, 40, 90, 255"),
        (np.zeros((36, 40), np.uint8), "train2.*44×36.*40×36"),
    ],
)
def test_segment_refuses_invalid_masks(workspace: Path, tmp_path: Path, mask: np.ndarray, message: str) -> None:
    shutil.copytree(workspace / "data/masks", tmp_path / "masks")
    write_mask(tmp_path / "masks/train2.png", mask)
    with pytest.raises(InvalidInput, match=message):
        run_stage(segment.STAGE, SEGMENT, tmp_path / "s", dataset(workspace), masks=tmp_path)


def test_segment_refuses_masks_without_labelled_pixels(workspace: Path, tmp_path: Path) -> None:
    for number in range(4):
        write_mask(tmp_path / f"masks/train{number}.png", np.full((36, 44), 255, np.uint8))
    with pytest.raises(InvalidInput, match="4 of 4 masks"):
        run_stage(segment.STAGE, SEGMENT, tmp_path / "s", dataset(workspace), masks=tmp_path)


def test_segment_on_sparse_masks(workspace: Path, tmp_path: Path) -> None:
    """Batches without labelled pixels have zero loss; a single labelled image is enough."""
    for number in range(4):
        mask = np.full((36, 44), 255, np.uint8)
        mask[:4, :4] = 40 if number == 3 else 255
        write_mask(tmp_path / f"masks/train{number}.png", mask)
    config = SEGMENT | {"loss": {"name": "ce_dice"}}
    result = run_stage(segment.STAGE, config, tmp_path / "s", dataset(workspace), masks=tmp_path)
    assert np.isfinite(result.metrics["train_loss"])


def test_segment_from_the_trunk_of_a_classifier(workspace: Path, tmp_path: Path) -> None:
    from wsss.models.classifier import load_classifier
    from wsss.models.config import SegmenterConfig
    from wsss.models.segmentation_networks.segmenters import build_segmenter

    data, classifier = dataset(workspace), workspace / "classify"
    result = run_stage(
        segment.STAGE, SEGMENT | {"epochs": 1}, tmp_path / "s", data, masks=workspace / "data", classifier=classifier
    )
    assert result.provenance["segmenter_initial_weights"] == "none, trained as classifier"
    start, _ = load_classifier(classifier)
    built = build_segmenter(SegmenterConfig.model_validate({"backbone": BACKBONE}), 3, start=start)
    assert torch.equal(built.backbone.high[5].conv[0][0].weight, start.backbone.high[5].conv[0][0].weight)
    other = SEGMENT | {"backbone": {"name": "resnet18", "weights": "none"}}
    with pytest.raises(InvalidInput, match=r"resnet18.*mobilenet|mobilenet.*resnet18"):
        run_stage(segment.STAGE, other, tmp_path / "t", data, masks=workspace / "data", classifier=classifier)


def test_deeplab_refuses_batches_of_one(workspace: Path) -> None:
    with pytest.raises(InvalidInput, match=r"deeplabv3 .*batch_size ≥ 2"):
        run_stage(segment.STAGE, SEGMENT | {"head": "deeplabv3", "batch_size": 1}, workspace / "x", dataset(workspace))


@pytest.mark.slow
def test_training_learns(tmp_path: Path) -> None:
    """On easy images both networks learn their classes; `test_ablation_signs.py` trains a classifier with a trunk."""
    data = dataset(tmp_path, train=16, val=8, size=(48, 48))
    training = {"epochs": 15, "batch_size": 8, "augmentation": {"size": 48, "colour": None}}
    config = training | {
        "convnet": {"widths": [16, 16], "wide": 2, "stride": 2},
        "optimiser": {"name": "adamw", "lr": 0.01, "head_lr_factor": 1},
        "val": "val",
    }
    assert run_stage(classify.STAGE, config, tmp_path / "c", data).metrics["val_map"] > 0.9
    config = training | {
        "backbone": {"name": "resnet18", "weights": "none", "output_stride": 16},
        "optimiser": {"name": "adamw", "lr": 0.001, "head_lr_factor": 3},
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
