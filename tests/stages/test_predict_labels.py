"""Predictions restricted to image-level labels, and compared with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wsss.cli.main import _call
from wsss.data.sample import Sample
from wsss.io.rasters.arrays import read_arrays
from wsss.io.rasters.label_masks import read_mask
from wsss.io.rasters.rgb_images import write_png
from wsss.metrics.contradictions import MIN_FRACTION, Contradiction, contradiction
from wsss.stages.common.inference.label_check import label_check


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four images of noise, labelled red, green and without a class; the last has no labels."""
    generator = np.random.default_rng(1)
    for name in "abcd":
        write_png(tmp_path / "data/images" / f"{name}.png", generator.integers(0, 255, (40, 30, 3), dtype=np.uint8))
    (tmp_path / "data/labels.csv").write_text("image_id,labels\na,red\nb,green\nc,\n")
    (tmp_path / "data/classes.txt").write_text("40 red\n90 green\n")
    (tmp_path / "data/splits").mkdir()
    (tmp_path / "data/splits/val.txt").write_text("a\nb\nc\nd\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def predict(capsys: pytest.CaptureFixture[str], model: Path, out: str, *options: str) -> tuple[dict[str, Any], str]:
    arguments = ["predict", "--weights", str(model), "--data.root", "data", "--out", out, "--save-probabilities"]
    assert _call([*arguments, *options, "--json"]) == 0, capsys.readouterr().err
    output = capsys.readouterr()
    metrics: dict[str, Any] = json.loads(output.out)["metrics"]
    return metrics, output.err


def shown(folder: Path, name: str) -> set[int]:
    return set(np.unique(read_mask(folder / "masks" / f"{name}.png")).tolist())


@pytest.mark.parametrize("batch_size", ["1", "4"])
def test_restricted_masks_show_no_class_that_is_absent(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str], batch_size: str
) -> None:
    _, free = predict(capsys, model, "free", "--batch-size", batch_size)
    metrics, log = predict(capsys, model, "bound", "--labels", "restrict", "--batch-size", batch_size)
    assert "note: 1 of 4 images have no labels, so any class may be predicted: d." in log
    assert "no labels" not in free
    allowed = {"a": {0, 40}, "b": {0, 90}, "c": {0}, "d": {0, 40, 90}}
    indices = {0: 0, 40: 1, 90: 2}
    for name, values in allowed.items():
        assert shown(data / "free", name) == {0, 40, 90}
        assert shown(data / "bound", name) <= values
        before, after = (read_arrays(data / one / "probabilities" / f"{name}.npz") for one in ("free", "bound"))
        kept = np.zeros(3, bool)
        kept[[indices[value] for value in values]] = True
        expected = before["probabilities"].astype(np.float32) * kept[:, None, None]
        expected /= expected.sum(0)
        result = after["probabilities"].astype(np.float32)
        np.testing.assert_allclose(result, expected, atol=2e-3)
        assert (result[~kept] == 0).all()
        mask = read_mask(data / "bound" / "masks" / f"{name}.png")
        ranked = np.sort(result, axis=0)
        clear = ranked[-1] - ranked[-2] > 2e-3  # beyond float16 rounding
        assert clear.any()
        assert np.array_equal(mask[clear], np.array([0, 40, 90])[result.argmax(0)][clear])
    assert (data / "free/masks/d.png").read_bytes() == (data / "bound/masks/d.png").read_bytes()
    assert metrics["labels"] == "restrict"
    record = json.loads((data / "bound" / "stage.json").read_text())
    assert record["provenance"]["predict_labels"] == "restrict"
    assert "predict_labels" not in json.loads((data / "free" / "stage.json").read_text())["provenance"]


def test_masks_that_contradict_the_labels_are_counted_and_listed(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics, _ = predict(capsys, model, "free")
    check = metrics["label_check"]
    assert check["labelled_images"] == 3 and check["images_without_labels"] == 1
    assert check["contradicting"] == check["show_an_absent_class"] == 3 and check["miss_a_labelled_class"] == 0
    assert {row["image"] for row in metrics["contradictions"]} == {"a", "b", "c"}
    assert all("shows " in row["contradiction"] for row in metrics["contradictions"])
    restricted, _ = predict(capsys, model, "bound", "--labels", "restrict")
    assert restricted["label_check"]["show_an_absent_class"] == 0
    changed = (data / "data/labels.csv").read_text().replace("c,\n", 'c,"red;green"\n')
    (data / "data/labels.csv").write_text(changed)
    metrics, _ = predict(capsys, model, "free")  # new labels, new metrics
    assert metrics["label_check"]["contradicting"] == 2


def test_without_any_labels(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "data/labels.csv").unlink()
    metrics, _ = predict(capsys, model, "free")
    assert "label_check" not in metrics and "contradictions" not in metrics
    arguments = ["predict", "--weights", str(model), "--data.root", "data", "--out", "o", "--labels", "restrict"]
    assert _call(arguments) == 2
    assert "predict.labels: restrict requires image-level labels" in capsys.readouterr().err


def test_a_broken_image_of_a_split(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    complete = (data / "data/images/b.png").read_bytes()
    (data / "data/images/b.png").write_bytes(complete[:-500])
    arguments = ["predict", "--weights", str(model), "--data.root", "data", "--out", "out", "--labels", "restrict"]
    assert _call(arguments) == 1
    assert "b.png: the image is broken" in capsys.readouterr().err
    record = json.loads((data / "out/images.json").read_text())
    assert list(record["failed"]) == ["b"] and "files" not in record
    assert _call(["export", "out", "--data.root", "data", "--format", "coco", "--out", "coco"]) == 0
    assert "no masks for images that could not be predicted: b " in capsys.readouterr().err
    times = {name: (data / f"out/masks/{name}.png").stat().st_mtime_ns for name in "acd"}
    (data / "data/images/b.png").write_bytes(complete)
    (data / "data/labels.csv").write_text("image_id,labels\na,red\nb,green\nc,green\n")
    assert _call(arguments) == 0
    again = {name: (data / f"out/masks/{name}.png").stat().st_mtime_ns for name in "acd"}
    assert times["a"] == again["a"] and times["d"] == again["d"] and times["c"] != again["c"]
    assert not (data / "out/images.json").exists() and shown(data / "out", "b") == {0, 90}


def test_contradictions() -> None:
    labelled = Sample("x", Path("x.png"), (1,), unknown=(3,))
    assert contradiction(np.array([0.5, 0.5, MIN_FRACTION / 2, 0]), labelled) is None
    assert contradiction(np.array([0.3, 0.4, 0, 0.3]), labelled) is None  # class 3 is unknown
    assert contradiction(np.array([0.5, MIN_FRACTION / 2, 0.5, 0]), labelled) == Contradiction({2: 0.5}, (1,))
    assert contradiction(np.array([0.0, 0, 1, 0]), Sample("y", Path("y.png"))) is None


def test_the_worst_are_listed_first() -> None:
    names = ("background", "cat", "dog")
    samples = [Sample(f"{number:02}", Path("x"), (1,)) for number in range(20)]
    shares = [np.array([0.5, 0.5 - number / 100, number / 100]) for number in range(20)]
    shares[7] = np.array([1.0, 0, 0])
    result = label_check(samples, shares, names)
    assert result["label_check"]["contradicting"] == 19 and result["label_check"]["miss_a_labelled_class"] == 1
    assert [row["image"] for row in result["contradictions"]] == ["07", *(f"{one:02}" for one in range(19, 10, -1))]
    assert result["contradictions"][0]["contradiction"] == "misses cat"
    assert result["contradictions"][1]["contradiction"] == "shows dog (19.0%)"


def test_absent_classes_become_background() -> None:
    import torch

    from wsss.stages.common.inference.predict_batch import restricted

    certain = torch.tensor([0.0, 0.0, 1.0]).reshape(1, 3, 1, 1)
    assert restricted(certain, [(0, 1)]).flatten().tolist() == [1, 0, 0]
    assert restricted(certain, [(0, 1, 2)]).flatten().tolist() == [0, 0, 1]
    assert restricted(certain, [None]) is certain


@pytest.mark.slow
def test_batchnorm_adapted_to_the_image(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predict(capsys, model, "plain")
    predict(capsys, model, "one", "--adapt-batchnorm", "0.5")
    predict(capsys, model, "four", "--adapt-batchnorm", "0.5", "--batch-size", "4")
    plain, one, four = (
        read_arrays(Path(out) / "probabilities" / "a.npz")["probabilities"] for out in ("plain", "one", "four")
    )
    np.testing.assert_allclose(four.astype(float), one.astype(float), rtol=0, atol=0.002)
    assert np.abs(one.astype(float) - plain.astype(float)).max() > 0.01
    assert json.loads(Path("one/stage.json").read_text())["provenance"]["predict_adapt_batchnorm"] == 0.5
    assert "predict_adapt_batchnorm" not in json.loads(Path("plain/stage.json").read_text())["provenance"]
