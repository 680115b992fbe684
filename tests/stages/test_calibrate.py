"""The stage `calibrate`: masks of unlabelled images show the share of foreground of the training masks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tinyrun import several

from wsss.cli.main import _call
from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import read_mask
from wsss.io.rasters.rgb_images import write_png
from wsss.pipeline.stage import Artifact
from wsss.stages.calibrate import FEWEST, STRONG, CalibrateConfig, _provenance
from wsss.stages.common.inference.whole_images import chosen_images
from wsss.validation import validate
from wsss.viz.report.report_scores import is_full, is_oracle

SIDE = 64
IMAGES = 6


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images of noise and one colour: two labelled ones for training, the others without labels; no masks."""
    generator = np.random.default_rng(1)
    names = [*"ab", *(f"v{number}" for number in range(IMAGES))]
    for number, name in enumerate(names):
        picture = generator.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
        picture[: 8 * number] = generator.integers(0, 255, 3)
        write_png(tmp_path / "data/images" / f"{name}.png", picture)
    (tmp_path / "data/labels.csv").write_text("image_id,labels\na,red\nb,green\n")
    (tmp_path / "data/classes.txt").write_text("40 red\n90 green\n")
    (tmp_path / "data/splits").mkdir()
    (tmp_path / "data/splits/train.txt").write_text("a\nb\n")
    (tmp_path / "data/splits/val.txt").write_text("".join(f"{name}\n" for name in names[2:]))
    write_masks(tmp_path / "masks", (0.5, 0.25))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_masks(folder: Path, shares: tuple[float, float]) -> None:
    """Write masks whose labelled half shows a share of foreground; the other half is ignored."""
    for name, share in zip("ab", shares, strict=True):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[:, SIDE // 2 :] = 255
        mask[: round(SIDE * share), : SIDE // 2] = 40 if name == "a" else 90
        write_png(folder / f"{name}.png", mask)


def words(model: Path, out: str, *options: str) -> list[str]:
    return ["calibrate", "--weights", str(model), "--data.root", "data", "--out", out, "--workers", "1", *options]


def calibrate(capsys: pytest.CaptureFixture[str], model: Path, *options: str) -> tuple[dict[str, Any], str]:
    assert _call([*words(model, "calibrated", *options), "--json"]) == 0, capsys.readouterr().err
    output = capsys.readouterr()
    metrics: dict[str, Any] = json.loads(output.out)["metrics"]
    return metrics, output.err


def predicted_share(weights: str) -> float:
    """Predict val, and return the mean share of foreground of its masks."""
    arguments = ["predict", "--weights", weights, "--data.root", "data", "--out", f"{weights}-masks", "--flip"]
    assert _call([*arguments, "--scales", "1,0.75"]) == 0
    masks = [read_mask(path) for path in Path(f"{weights}-masks/masks").glob("*.png")]
    assert len(masks) == IMAGES
    return float(np.mean([mask != 0 for mask in masks]))


@pytest.mark.slow
def test_predicted_masks_have_the_foreground_fraction_of_the_training_masks(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics, log = calibrate(capsys, model, "--masks", "masks", "--scales", "1,0.75", "--flip")
    assert metrics["target_foreground"] == 0.375  # ignored pixels do not count
    assert metrics["images"] == IMAGES
    assert metrics["foreground_before"] > 0.45
    assert metrics["background_weight"] > 1
    assert metrics["foreground_after"] == pytest.approx(0.375, abs=0.005)
    assert f"note: {IMAGES} images are few" in log
    assert predicted_share("calibrated") == pytest.approx(0.375, abs=0.02)
    before, after = (load_file(folder / "model.safetensors") for folder in (model, data / "calibrated"))
    changed = {name: after[name] - value for name, value in before.items() if (after[name] != value).any()}
    (difference,) = changed.values()
    assert difference == pytest.approx([np.log(metrics["background_weight"]), 0, 0], abs=1e-5)
    described, original = (json.loads((path / "model.json").read_text()) for path in (data / "calibrated", model))
    assert described == {**original, "background_weight": metrics["background_weight"]}


@pytest.mark.parametrize("copied", [False, True])
def test_a_second_calibration_states_both_weights(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str], copied: bool
) -> None:
    first, _ = calibrate(capsys, model, "--foreground", "0.3")
    (data / "calibrated").rename(data / "first")
    if copied:  # for deployment, without the record of the stage
        (data / "first/stage.json").unlink()
        (data / "first/.wsss-stage.json").unlink()
    second, _ = calibrate(capsys, data / "first", "--foreground", "0.6")
    stated = json.loads((data / "calibrated/stage.json").read_text())["provenance"]["calibrated"]
    product = first["background_weight"] * second["background_weight"]
    assert stated["background_weight"] == pytest.approx(product, rel=1e-3)
    assert json.loads((data / "calibrated/model.json").read_text())["background_weight"] == pytest.approx(product)
    assert (stated["target_share"], stated["share_of"]) == (0.6, "a setting")


def test_a_correction_within_the_standard_error_is_noted(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics, _ = calibrate(capsys, model, "--foreground", "0.3")
    before, error = metrics["foreground_before"], metrics["standard_error"]
    assert error > 0
    for off, noted in ((0.5, True), (1.5, False)):
        shutil.rmtree(data / "calibrated")
        _, log = calibrate(capsys, model, "--foreground", f"{before - off * error:.6f}")
        assert ("smaller than the standard error" in log) == noted


def biased(model: Path, folder: Path, by: float) -> Path:
    """Write a copy of the network with a number added to the logit of the background."""
    folder.mkdir()
    (folder / "model.json").write_bytes((model / "model.json").read_bytes())
    weights = load_file(model / "model.safetensors")
    (name,) = [name for name in weights if name.endswith("low_classifier.bias")]
    save_file({**weights, name: weights[name] + np.array([by, 0, 0], np.float32)}, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("by", [-4, -1, 1, 4])
def test_an_unusual_weight_is_noted(model: Path, data: Path, capsys: pytest.CaptureFixture[str], by: float) -> None:
    before, _ = calibrate(capsys, model, "--foreground", "0.5")
    (data / "calibrated").rename(data / "before")
    balanced = np.log(before["background_weight"])
    after, log = calibrate(capsys, biased(model, data / "biased", balanced + by), "--foreground", "0.5")
    assert np.log(after["background_weight"]) == pytest.approx(-by, abs=0.1)
    assert ("unusual weight" in log) == (abs(by) > np.log(STRONG))


def test_images_that_need_tiles_are_refused(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsss.models.segmentation_networks.blockwise_prediction.MAX_PIXELS", SIDE * SIDE - 1)
    error = refusal(capsys, model, "--foreground", "0.5")
    assert "v0.png" in error and f"{SIDE} × {SIDE}" in error
    assert calibrate(capsys, model, "--foreground", "0.5", "--max-side", "32")[0]["images"] == IMAGES


def test_a_given_fraction_needs_no_masks(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics, _ = calibrate(capsys, model, "--foreground", "0.9", "--max-images", "5")
    assert (metrics["target_foreground"], metrics["images"]) == (0.9, 5)
    assert metrics["background_weight"] < 1
    record = json.loads((data / "calibrated/stage.json").read_text())
    stated = record["provenance"]["calibrated"]
    assert stated.pop("background_weight") == pytest.approx(metrics["background_weight"], abs=1e-4)
    assert stated == {"target_share": 0.9, "images": 5, "splits": ["val"], "share_of": "a setting"}


def stage(folder: Path, uses: str, provides: str, supervision: str | None) -> None:
    """Write the record of a finished stage; without a supervision, none, as for a copied folder."""
    if supervision is None:
        return
    record = {"status": "done", "id": folder.name, "uses": uses, "provides": provides, "identity": "0", "config": {}}
    stated = {"supervision": supervision, "threshold_policy": f"of {folder.name}"}
    (folder / "stage.json").write_text(json.dumps(record | {"metrics": {}, "provenance": stated}))


WEAK, FULL = "image-level labels", "ground-truth masks"


@pytest.mark.parametrize(
    ("trained", "masks", "expected"),
    [
        (WEAK, WEAK, WEAK),
        (FULL, WEAK, f"{FULL} and the share of object pixels of {WEAK}"),
        (WEAK, FULL, f"{WEAK} and the true share of object pixels"),
        (WEAK, "truth", f"{WEAK} and the true share of object pixels"),
        (FULL, "truth", FULL),
        (None, "truth", "labels of unstated origin and the true share of object pixels"),
        (WEAK, None, f"{WEAK} and the share of object pixels of masks of unstated origin"),
    ],
)
def test_supervision_is_that_of_the_network_and_of_the_fraction(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str], trained: str | None, masks: str | None, expected: str
) -> None:
    write_masks(data / "data/masks", (0.5, 0.25))
    network = data / "network"
    shutil.copytree(model, network)
    stage(network, "segment", "segmenter", trained)
    stage(data / "masks", "pseudo", "masks", None if masks == "truth" else masks)
    options = ("--foreground", "ground-truth") if masks == "truth" else ("--masks", "masks")
    metrics, _ = calibrate(capsys, network, *options)
    assert metrics["target_foreground"] == 0.375
    provenance = json.loads((data / "calibrated/stage.json").read_text())["provenance"]
    assert provenance["supervision"] == expected
    assert is_full(expected) == (trained == FULL)
    assert provenance.get("threshold_policy") == (None if trained is None else "of network")
    assert is_oracle({}, provenance) == (masks in (FULL, "truth") and trained != FULL)


def test_another_list_of_masks_counts(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert calibrate(capsys, model, "--masks", "masks")[0]["target_foreground"] == 0.375
    (data / "data/splits/train.txt").write_text("a\n")
    assert calibrate(capsys, model, "--masks", "masks")[0]["target_foreground"] == 0.5


def test_truth_of_the_predicted_images_is_refused() -> None:
    with pytest.raises(InvalidInput):
        validate(CalibrateConfig, {"foreground": "ground-truth", "mask_split": "val"}, where="")


def test_all_unreadable_images_are_named(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("v1", "v4"):
        path = data / "data/images" / f"{name}.png"
        path.write_bytes(path.read_bytes()[:200])
    error = refusal(capsys, model, "--foreground", "0.5")
    assert "v1.png" in error and "v4.png" in error


def test_a_fraction_needs_no_training_split(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "data/splits/train.txt").unlink()
    assert calibrate(capsys, model, "--foreground", "0.5")[0]["target_foreground"] == 0.5


@pytest.mark.slow
def test_two_processes_write_the_same_network(model: Path, data: Path) -> None:
    options = ("--masks", "masks", "--scales", "1,0.75")
    for count in (1, 2):
        done = several(count, *words(model, f"by{count}", *options), cwd=data)
        assert done.returncode == 0, done.stderr
    assert (data / "by1/model.safetensors").read_bytes() == (data / "by2/model.safetensors").read_bytes()
    metrics = [json.loads((data / f"by{count}/metrics.json").read_text()) for count in (1, 2)]
    assert metrics[0] == metrics[1]


def refusal(capsys: pytest.CaptureFixture[str], model: Path, *options: str) -> str:
    assert _call(words(model, "calibrated", *options)) == 2
    return capsys.readouterr().err


def test_inputs_without_a_foreground_fraction(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "or set foreground" in refusal(capsys, model)
    write_masks(data / "empty", (0, 0))
    assert "found no foreground" in refusal(capsys, model, "--masks", "empty")
    write_masks(data / "full", (1, 1))
    assert "found only foreground" in refusal(capsys, model, "--masks", "full")
    (data / "masks/b.png").unlink()
    assert "no mask for 1 of 2 images" in refusal(capsys, model, "--masks", "masks")


def test_too_few_images(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "data/splits/val.txt").write_text("v1\nv2\n")
    error = refusal(capsys, model, "--foreground", "0.5")
    assert f"at least {FEWEST} images" in error and "2" in error


def test_unreachable_fractions(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = biased(model, data / "certain", 1000)
    assert "no background weight" in refusal(capsys, network, "--foreground", "0.5")


def test_another_dataset(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "data/classes.txt").write_text("40 red\n90 green\n99 blue\n")
    assert "was trained on the classes" in refusal(capsys, model, "--foreground", "0.5")


@pytest.mark.parametrize(("total", "limit"), [(6, 5), (12, 5), (7, 7), (100, 9)])
def test_evenly_spaced_images(total: int, limit: int) -> None:
    class Data:
        def samples(self, splits: tuple[str, ...]) -> list[int]:
            return list(range(total))

    chosen: list[Any] = chosen_images(CalibrateConfig(max_images=limit), Data())  # type: ignore[arg-type]
    assert len(set(chosen)) == min(total, limit) and chosen[0] == 0
    steps = np.diff(chosen)
    assert steps.max() - steps.min() <= 1


def test_invalid_fractions() -> None:
    for share in (0, 1, -0.5):
        with pytest.raises(InvalidInput):
            validate(CalibrateConfig, {"foreground": share}, where="")


@pytest.mark.parametrize(
    ("kind", "trained", "oracle"),
    [
        ("noisy", "noisy masks of the dataset", False),
        ("noisy", WEAK, False),
        (None, "noisy masks of the dataset", True),
        (None, FULL, False),
    ],
)
def test_the_fraction_of_noisy_masks_is_no_oracle(kind: str | None, trained: str, oracle: bool) -> None:
    """That of true masks is one for a network that was trained on noisy ones."""
    kinds = {} if kind is None else {"train": kind}
    dataset = Dataset("walls", Path(), Classes(("background", "mortar"), ((0,), (1,))), {"train": ()}, mask_kinds=kinds)
    artifact = Artifact(Path("segment"), provenance={"supervision": trained})
    ctx = SimpleNamespace(
        config=CalibrateConfig(foreground="ground-truth"), data=dataset, inputs={"masks": None, "segmenter": artifact}
    )
    provenance = _provenance(ctx, 0.5, 0.4, 100)  # type: ignore[arg-type]
    assert is_oracle({}, provenance) == oracle
    assert ("supervision" in provenance) == (trained != dataset.mask_supervision("train"))
