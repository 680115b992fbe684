"""`segment` and `predict` with a DynUNet: deep supervision, step-based training, soft labels, exact resume."""

from __future__ import annotations

import json
import math
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learning import coloured_dataset, contents, run_stage
from onethread import one_thread
from tinyrun import wsss

from wsss.data.dataset import Dataset
from wsss.data.readers.registry import open_dataset
from wsss.errors import InvalidInput
from wsss.io.rasters.arrays import read_arrays, write_arrays
from wsss.io.rasters.label_masks import read_mask
from wsss.losses.region import CrossEntropyDiceLoss
from wsss.pipeline.config.presets import with_presets
from wsss.pipeline.config.resources import names, shipped
from wsss.pipeline.config.source import Source
from wsss.stages import classify, predict, segment
from wsss.validation import validate

__all__ = ["one_thread"]  # a fixture of every test here

LOSSES = [name for name in names(shipped("configs")) if name.startswith("loss/topomortar/")]
SUPPORT = Path(__file__).parents[1] / "support"
UNET: dict[str, Any] = {
    "head": "dynunet",
    "unet": {"levels": 3, "filters": [6, 8, 12]},
    "steps": 6,
    "batch_size": 2,
    "optimiser": {"name": "sgd", "lr": 0.01, "momentum": 0.9, "nesterov": True},
    "loss": {"name": "ce_dice"},
    "augmentation": {
        "size": 32,
        "rotation": {"probability": 0.5, "degrees": 180},
        "flip_axis": "either",
        "noise": {},
        "random_hue": {},
    },
}
SOFT = UNET | {"labels": "soft"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset, a network trained on its masks, and its class probabilities on the training split."""
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("unet")
    data = dataset(place)
    run_stage(segment.STAGE, UNET | {"labels": "ground-truth"}, place / "segment", data)
    config = {"splits": ["train"], "save_probabilities": True}
    run_stage(predict.STAGE, config, place / "teacher", data, segmenter=place / "segment")
    return place


def dataset(place: Path) -> Dataset:
    return coloured_dataset(place / "data")


def test_segment_and_predict(place: Path, tmp_path: Path) -> None:
    data = dataset(place)
    result = run_stage(segment.STAGE, UNET, tmp_path / "s", data, masks=place / "data")
    assert set(contents(tmp_path / "s")) == {"model.safetensors", "model.json", "history.csv"}
    assert result.metrics.keys() == {"images", "empty_masks", "steps", "train_loss"}
    assert result.metrics["steps"] == 6 and math.isfinite(result.metrics["train_loss"])
    assert result.provenance["segmenter"] == "dynunet of 3 levels, 6 to 12 channels"
    assert result.provenance["segmenter_initial_weights"] == "none"
    description = json.loads((tmp_path / "s/model.json").read_text())
    assert "channels" not in description and description["config"]["unet"]["levels"] == 3
    config = {"scales": [1, 0.6], "flip": True, "save_probabilities": True}
    run_stage(predict.STAGE, config, tmp_path / "p", data, segmenter=tmp_path / "s")
    for sample in data.split("val"):
        assert set(np.unique(read_mask(tmp_path / f"p/masks/{sample.id}.png", size=(36, 44)))) <= {0, 40, 90}
        probabilities = read_arrays(tmp_path / f"p/probabilities/{sample.id}.npz")["probabilities"]
        assert probabilities.shape == (3, 36, 44) and np.abs(probabilities.sum(0, dtype=np.float32) - 1).max() < 0.01


def test_on_a_folder_of_images(tmp_path: Path) -> None:
    """A folder with a label table, masks, and images whose sizes are not multiples of the stride."""
    made, root = coloured_dataset(tmp_path / "data", size=(37, 45)), tmp_path / "data"
    names = made.classes.names
    rows = [
        f"{sample.id},{' '.join(names[label] for label in sample.labels or ())},{split}"
        for split in ("train", "val")
        for sample in made.split(split)
    ]
    (root / "labels.csv").write_text("\n".join(["image_id,labels,split", *rows]))
    (root / "classes.txt").write_text("0 background\n40 red\n90 green\n")
    data = open_dataset({"root": str(root)}, work=tmp_path)
    run_stage(segment.STAGE, UNET | {"labels": "ground-truth", "steps": 2}, tmp_path / "s", data)
    run_stage(predict.STAGE, {"images": str(root / "images")}, tmp_path / "p", data, segmenter=tmp_path / "s")
    assert len(list((tmp_path / "p/masks").iterdir())) == 6
    assert read_mask(tmp_path / "p/masks/val0.png").shape == (37, 45)


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["ground-truth", "soft"])
@pytest.mark.parametrize("at", [1, 4, 12])
def test_resumed_after_a_crash_ends_bit_identical(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: str, at: int
) -> None:
    """Two outputs per step: the fourth loss is that of the coarser output in the second step."""
    data, config = dataset(place), UNET | {"labels": labels, "checkpoint_steps": 1}
    run_stage(segment.STAGE, config, tmp_path / "complete", data, masks=place / "teacher")
    calls, forward = 0, CrossEntropyDiceLoss.forward

    def counted(self: CrossEntropyDiceLoss, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise KeyboardInterrupt
        return forward(self, *arguments)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(CrossEntropyDiceLoss, "forward", counted)
        run_stage(segment.STAGE, config, tmp_path / "cut", data, masks=place / "teacher")
    run_stage(segment.STAGE, config, tmp_path / "cut", data, masks=place / "teacher")
    assert contents(tmp_path / "cut") == contents(tmp_path / "complete")


@pytest.mark.slow
def test_killed_while_training_and_resumed(place: Path, tmp_path: Path) -> None:
    def program(out: Path, kill_at: int = 0) -> int:
        config = json.dumps(UNET | {"labels": "soft", "checkpoint_steps": 1})
        script = str(SUPPORT / "killedsegment.py")
        return wsss("--script", script, str(place), str(out), config, str(kill_at)).returncode

    assert program(tmp_path / "cut", 5) == -signal.SIGKILL
    assert (tmp_path / "cut/checkpoint.pt").is_file()
    assert not (tmp_path / "cut/model.json").exists()
    assert program(tmp_path / "cut") == 0
    complete = UNET | {"labels": "soft"}
    run_stage(segment.STAGE, complete, tmp_path / "complete", dataset(place), masks=place / "teacher")
    assert contents(tmp_path / "cut") == contents(tmp_path / "complete")


def test_three_rounds_of_self_distillation(place: Path, tmp_path: Path) -> None:
    data, teacher = dataset(place), place / "teacher"
    for number in (2, 3):
        result = run_stage(segment.STAGE, SOFT, tmp_path / f"s{number}", data, masks=teacher)
        assert result.metrics["images"] == 4 and math.isfinite(result.metrics["train_loss"])
        config = {"splits": ["train"], "save_probabilities": True}
        teacher = tmp_path / f"p{number}"
        run_stage(predict.STAGE, config, teacher, data, segmenter=tmp_path / f"s{number}")
    assert contents(tmp_path / "s2")["model.safetensors"] != contents(tmp_path / "s3")["model.safetensors"]


def test_one_hot_probabilities_train_like_masks(place: Path, tmp_path: Path) -> None:
    """Up to rounding, without interpolation."""
    data = dataset(place)
    plain = {"size": 44, "scale": [1, 1], "flip": 0.5}
    config = SOFT | {"augmentation": plain, "steps": 3}
    for sample in data.split("train"):
        assert sample.mask is not None
        mask = data.classes.encode(read_mask(sample.mask), where="")
        one_hot = (mask == np.arange(3)[:, None, None]).astype(np.float16)
        write_arrays(tmp_path / f"teacher/probabilities/{sample.id}.npz", {"probabilities": one_hot})
    soft = run_stage(segment.STAGE, config, tmp_path / "soft", data, masks=tmp_path / "teacher")
    hard = run_stage(segment.STAGE, config | {"labels": "ground-truth"}, tmp_path / "hard", data)
    assert soft.metrics["train_loss"] == pytest.approx(hard.metrics["train_loss"], abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("preset", LOSSES)
def test_every_benchmark_loss_trains_on_soft_labels(place: Path, tmp_path: Path, preset: str) -> None:
    source = with_presets(Source({"preset": preset}), where="segment")
    config = UNET | source.value | {"labels": "soft", "steps": 4}  # a term from 70 % on is active in the last step
    result = run_stage(segment.STAGE, config, tmp_path / "s", dataset(place), masks=place / "teacher")
    assert math.isfinite(result.metrics["train_loss"])


def test_missing_probabilities_are_refused(place: Path, tmp_path: Path) -> None:
    data = dataset(place)
    run_stage(predict.STAGE, {"splits": ["train"]}, tmp_path / "p", data, segmenter=place / "segment")
    for inputs, subject in (({}, "segment.labels"), ({"masks": tmp_path / "p"}, str(tmp_path / "p"))):
        with pytest.raises(InvalidInput) as error:
            run_stage(segment.STAGE, SOFT, tmp_path / "s", data, **inputs)
        assert error.value.subject == subject and "save_probabilities: true" in str(error.value.hint)
    assert "4 of 4 images" in error.value.problem and "splits: [train]" in str(error.value.hint)


@pytest.mark.parametrize(
    ("array", "found", "allowed"),
    [
        (np.zeros((2, 36, 44), np.float16), "float16 (2, 36, 44)", "(3, 36, 44)"),
        (np.full((3, 36, 44), np.nan, np.float16), "nan", "[0, 1]"),
    ],
)
def test_invalid_probabilities_are_refused(
    place: Path, tmp_path: Path, array: np.ndarray, found: str, allowed: str
) -> None:
    data = dataset(place)
    for sample in data.split("train"):
        write_arrays(tmp_path / f"p/probabilities/{sample.id}.npz", {"probabilities": array})
    with pytest.raises(InvalidInput) as error:
        run_stage(segment.STAGE, SOFT, tmp_path / "s", data, masks=tmp_path / "p")
    assert [str(one.found) for one in error.value.errors] == [found] * 4
    assert allowed in str(error.value.errors[0].allowed)


def test_a_classifier_is_refused(place: Path, tmp_path: Path) -> None:
    config = validate(segment.SegmentConfig, UNET, where="segment")
    with pytest.raises(InvalidInput) as error:
        segment.STAGE.check_inputs(config, {"masks": ("teacher",), "classifier": ("classify",)})
    assert error.value.subject == "segment.head" and "(classify)" in error.value.problem
    training = {"backbone": {"weights": "none"}, "epochs": 1, "batch_size": 2, "augmentation": {"size": 32}}
    run_stage(classify.STAGE, training, tmp_path / "c", dataset(place))
    with pytest.raises(InvalidInput) as error:
        run_stage(segment.STAGE, UNET, tmp_path / "s", dataset(place), masks=place / "data", classifier=tmp_path / "c")
    assert error.value.subject == "head"


@pytest.mark.parametrize(
    ("keys", "subject", "stated"),
    [
        ({"deep_supervision": {"weights": [1, 0.5, 0.5]}}, "segment", "deep_supervision.weights: expected 2"),
        ({"deep_supervision": {"weights": [0, 1]}}, "segment.deep_supervision", "weights: "),
        ({"optimiser": {"name": "sgd", "head_lr_factor": 5}}, "segment", "optimiser.head_lr_factor: expected 1"),
    ],
)
def test_incompatible_settings_are_refused(keys: dict[str, Any], subject: str, stated: str) -> None:
    with pytest.raises(InvalidInput) as error:
        validate(segment.SegmentConfig, UNET | keys, where="segment")
    assert error.value.subject == subject and stated in error.value.problem


def test_loss_presets_with_deep_supervision_work_with_every_head() -> None:
    config = {"deep_supervision": {"term": "finest"}, "loss": {"name": "cldice"}}
    assert validate(segment.SegmentConfig, config, where="").deep_supervision.term == "finest"


@pytest.mark.slow
def test_training_learns(tmp_path: Path) -> None:
    data = coloured_dataset(tmp_path / "data", train=12, val=6, size=(48, 48))
    config = UNET | {
        "labels": "ground-truth",
        "steps": 150,
        "batch_size": 4,
        "unet": {"levels": 4, "filters": [8, 16, 24, 32]},
        "augmentation": {"size": 48, "scale": [0.9, 1.1], "colour": None},
    }
    run_stage(segment.STAGE, config, tmp_path / "s", data)
    run_stage(predict.STAGE, {}, tmp_path / "p", data, segmenter=tmp_path / "s")
    right = total = 0
    for sample in data.split("val"):
        assert sample.mask is not None
        truth, mask = read_mask(sample.mask), read_mask(tmp_path / f"p/masks/{sample.id}.png")
        right += int(((mask == truth) & (truth > 0)).sum())
        total += int(((truth > 0) | (mask > 0)).sum())
    assert right / total > 0.8


def test_both_presets_have_the_same_augmentations() -> None:
    full, small = (
        with_presets(Source({"preset": f"segment/{name}"}), where="segment").value
        for name in ("topomortar", "topomortar_small")
    )
    assert full["augmentation"] | {"size": 256} == small["augmentation"]
    changes = {name for name in full["augmentation"] if isinstance(full["augmentation"][name], dict)}
    assert len(changes | {"scale", "flip"}) == 10  # the ten of the paper
    checked = validate(segment.SegmentConfig, full, where="segment")
    assert checked.deep_supervision.weights is not None
    halves = [0.5**k for k in range(7)]
    weights = [1.0, *(half / sum(halves) for half in halves[1:])]
    assert checked.deep_supervision.weights == pytest.approx([weight / 7 for weight in weights], abs=1e-6)
