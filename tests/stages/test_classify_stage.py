"""`classify` and `cam` on small coloured images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from learning import BACKBONE, SMALL_TRAINING, coloured_dataset, contents, run_stage
from onethread import one_thread

from wsss.data.dataset import Dataset
from wsss.data.sample import Sample
from wsss.errors import InvalidInput
from wsss.stages import cam, classify

__all__ = ["one_thread"]  # a fixture of every test here


def test_classify_makes_a_classifier_with_history_and_scores(data: Dataset, classified: Path, tmp_path: Path) -> None:
    result = run_stage(classify.STAGE, SMALL_TRAINING | {"val": "val"}, tmp_path / "again", data)
    assert contents(tmp_path / "again") == contents(classified)
    assert set(contents(classified)) == {"model.safetensors", "model.json", "history.csv"}
    assert result.metrics["images"] == 4
    assert result.metrics["steps"] == 4
    assert result.metrics["val_images"] == 2
    assert 0 <= result.metrics["val_map"] <= 1
    assert result.metrics["val_average_precision"].keys() <= {"red", "green"}
    assert result.provenance == {
        "backbone": BACKBONE["name"],
        "initial_weights": "none",
        "supervision": "image-level labels",
    }
    json.dumps(result.metrics, allow_nan=False)
    assert (classified / "history.csv").read_text().startswith("epoch,step,lr,train_loss,val_map,val_f1\n")


def test_classify_without_validation_and_resumed_after_saving(data: Dataset, tmp_path: Path) -> None:
    config = SMALL_TRAINING | {"checkpoint_steps": 1}
    first = run_stage(classify.STAGE, config, tmp_path / "a", data)
    assert "val_map" not in first.metrics
    complete = contents(tmp_path / "a")
    (tmp_path / "a" / "model.json").unlink()
    assert run_stage(classify.STAGE, config, tmp_path / "a", data).metrics == first.metrics
    assert contents(tmp_path / "a") == complete


def test_killed_between_checkpoint_and_result(data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last checkpoint exists, the model does not: the metrics of the last epoch are the same."""
    config = SMALL_TRAINING | {"val": "val"}
    expected = run_stage(classify.STAGE, config, tmp_path / "a", data)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("wsss.models.classifier.save_classifier", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        run_stage(classify.STAGE, config, tmp_path / "b", data)
    assert (tmp_path / "b" / "checkpoint.pt").is_file()
    assert run_stage(classify.STAGE, config, tmp_path / "b", data).metrics == expected.metrics
    assert contents(tmp_path / "b") == contents(tmp_path / "a")


def test_a_class_in_every_image_gives_a_warning(tmp_path: Path) -> None:
    data = coloured_dataset(tmp_path / "data")
    train = tuple(Sample(s.id, s.image, (1, *(s.labels or ())[1:]), s.mask) for s in data.split("train"))
    data = Dataset(data.name, data.root, data.classes, {**data.splits, "train": train})
    lines: list[str] = []
    run_stage(classify.STAGE, SMALL_TRAINING | {"epochs": 1}, tmp_path / "c", data, lines=lines)
    (warning,) = [line for line in lines if line.startswith("warning")]
    assert "every image of split 'train' shows 'red'" in warning
    lines.clear()
    run_stage(
        classify.STAGE, SMALL_TRAINING | {"epochs": 1}, tmp_path / "d", coloured_dataset(tmp_path / "data"), lines=lines
    )
    assert not [line for line in lines if line.startswith("warning")]


def test_classes_without_positives_are_excluded(tmp_path: Path) -> None:
    data = coloured_dataset(tmp_path / "data")
    only_red = tuple(Sample(s.id, s.image, (1,), s.mask) for s in data.split("val"))
    data = Dataset(data.name, data.root, data.classes, {**data.splits, "val": only_red})
    metrics = run_stage(classify.STAGE, SMALL_TRAINING | {"val": "val", "epochs": 1}, tmp_path / "c", data).metrics
    assert metrics["val_classes_without_images"] == ["green"]
    assert metrics["val_average_precision"] == {"red": 1.0}
    assert metrics["val_map"] == 1.0


def test_images_without_labels_are_refused(tmp_path: Path) -> None:
    data = coloured_dataset(tmp_path / "data")
    train = data.split("train")
    unlabelled = Sample(train[0].id, train[0].image, None, train[0].mask)
    data = Dataset(data.name, data.root, data.classes, {**data.splits, "train": (unlabelled, *train[1:])})
    with pytest.raises(InvalidInput) as error:
        run_stage(classify.STAGE, SMALL_TRAINING, tmp_path / "c", data)
    assert "1 of 4 images" in error.value.problem and "train0" in error.value.problem
    with pytest.raises(InvalidInput) as error:
        run_stage(cam.STAGE, {}, tmp_path / "m", data, classifier=tmp_path / "c")
    assert "train0" in error.value.problem and "cam.classes: predicted" in str(error.value.hint)


def test_missing_and_broken_maps_are_computed_again(data: Dataset, classified: Path, tmp_path: Path) -> None:
    config = {"scales": [1, 0.5], "batch_size": 2}
    run_stage(cam.STAGE, config, tmp_path / "complete", data, classifier=classified)
    shutil.copytree(tmp_path / "complete", tmp_path / "cut")
    (tmp_path / "cut/cams/train1.npz").unlink()
    broken = tmp_path / "cut/cams/train2.npz"
    broken.write_bytes(broken.read_bytes()[:100])
    kept = (tmp_path / "cut/cams/train0.npz").stat().st_mtime_ns
    lines: list[str] = []
    run_stage(cam.STAGE, config, tmp_path / "cut", data, classifier=classified, lines=lines)
    assert contents(tmp_path / "cut") == contents(tmp_path / "complete")
    (warning,) = lines
    assert warning.startswith("warning: ") and "train2.npz" in warning
    assert (tmp_path / "cut/cams/train0.npz").stat().st_mtime_ns > kept  # it shares a batch with train1


def test_maps_of_reduced_images(data: Dataset, classified: Path, tmp_path: Path) -> None:
    for name, config in (("complete", {}), ("same", {"max_side": 44}), ("small", {"max_side": 22}), ("half", {})):
        scales = [0.5] if name == "half" else [1]
        run_stage(cam.STAGE, config | {"scales": scales}, tmp_path / name, data, classifier=classified)
    assert contents(tmp_path / "same") == contents(tmp_path / "complete")
    assert contents(tmp_path / "small") == contents(tmp_path / "half")
    assert contents(tmp_path / "small") != contents(tmp_path / "complete")
