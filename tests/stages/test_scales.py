"""The stage `scales`: the chosen scales are those whose masks agree best with the input masks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learning import random_segmenter
from tinyrun import several

from wsss.cli.main import _call
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import read_mask, write_mask
from wsss.io.rasters.rgb_images import write_png
from wsss.metrics import mean_iou
from wsss.stages.scales import ScalesConfig
from wsss.validation import validate

SIZE = (56, 72)
IDS = [f"v{number}" for number in range(4)]
RUNS = [(0.5,), (0.75,), (1.25,), (0.5, 0.75), (0.75, 1.25), (0.5, 0.75, 1.25)]
OPTIONS = ("--candidates", "0.5,0.75,1.25", "--flip")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_segmenter(tmp_path_factory.mktemp("model"))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images of noise and coloured blocks, without masks; labels of another split only."""
    generator = np.random.default_rng(5)
    for number, name in enumerate(["a", *IDS]):
        picture = generator.integers(0, 255, (*SIZE, 3), dtype=np.uint8)
        picture[: 10 * number, 8:40] = generator.integers(0, 255, 3)
        write_png(tmp_path / "data/images" / f"{name}.png", picture)
    (tmp_path / "data/labels.csv").write_text("image_id,labels\na,red\n")
    (tmp_path / "data/classes.txt").write_text("40 red\n90 green\n")
    (tmp_path / "data/splits").mkdir()
    (tmp_path / "data/splits/val.txt").write_text("".join(f"{name}\n" for name in IDS))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def predict(model: Path, scales: tuple[float, ...], *options: str) -> Path:
    """Predict val at some scales; return the folder."""
    out = Path("-".join(map(str, scales)))
    chosen = ",".join(map(str, scales))
    words = ["predict", "--weights", str(model), "--data.root", "data", "--splits", "val", "--out", str(out)]
    assert _call([*words, "--scales", chosen, "--flip", *options]) == 0
    return out


def unrecorded(folder: Path) -> Path:
    """Remove the record of a stage, so that its masks are of unstated origin; return the folder."""
    (folder / "stage.json").unlink()
    (folder / ".wsss-stage.json").unlink()
    return folder


def words(model: Path, masks: Path, out: str, *options: str) -> list[str]:
    inputs = ["--weights", str(model), "--masks", str(masks), "--data.root", "data", "--workers", "1"]
    return ["scales", *inputs, "--out", out, *OPTIONS, *options]


def choose(
    capsys: pytest.CaptureFixture[str], model: Path, masks: Path, *options: str
) -> tuple[dict[str, Any], dict[str, Any], str]:
    capsys.readouterr()
    assert _call([*words(model, masks, "chosen", *options), "--json"]) == 0, capsys.readouterr().err
    output = capsys.readouterr()
    provenance = json.loads(Path("chosen/stage.json").read_text())["provenance"]
    metrics: dict[str, Any] = json.loads(output.out)["metrics"]
    return metrics, provenance, output.err


def masks_of(folder: Path) -> dict[str, Any]:
    return {name: read_mask(folder / "masks" / f"{name}.png") for name in IDS}


@pytest.mark.slow
def test_the_agreement_is_that_of_predict(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The agreement of every set of scales is the mIoU of the masks that `predict` writes at them; all sets differ."""
    for number, name in enumerate(IDS):
        mask = np.zeros(SIZE, np.uint8)
        mask[: 10 * number + 10, 8:40] = (40, 90)[number % 2]
        mask[50:, :9] = 255
        write_mask(data / "blocks" / f"{name}.png", mask)
    metrics, provenance, log = choose(capsys, model, data / "blocks")
    assert metrics["flip"] and metrics["images"] == len(IDS)
    agreement = {tuple(row["scales"]): row["agreement"] for row in metrics["candidates"]}
    assert list(agreement) == RUNS and len(set(agreement.values())) == len(RUNS)
    truth = relabelled(np.stack([read_mask(data / "blocks" / f"{name}.png") for name in IDS]))
    for scales, value in agreement.items():
        found = np.stack(list(masks_of(predict(model, scales)).values()))
        assert value == pytest.approx(mean_iou(relabelled(found), truth, classes=3), abs=1e-6)
    best = max(agreement, key=lambda scales: agreement[scales])
    assert metrics["scales"] == list(best)
    assert provenance["scales"] == {
        "chosen": list(best),
        "by": f"mIoU of the network's masks with other masks on {len(IDS)} images",
        "supervision": "masks of unstated origin",
        "ground_truth": "unknown",
    }
    assert f"--scales {','.join(f'{scale:g}' for scale in best)})" in log


@pytest.mark.parametrize("best", [(1.25,), (0.5, 0.75)])
def test_the_smallest_or_largest_scale_is_noted(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str], best: tuple[float, ...]
) -> None:
    metrics, _, log = choose(capsys, model, unrecorded(predict(model, best)))
    assert metrics["scales"] == list(best)
    assert ("first or the last" in log) == (best == (1.25,))


def test_equal_candidates_are_no_reason_for_other_scales(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each mask has one labelled pixel, of a class that no scale predicts there."""
    predicted = [masks_of(predict(model, scales)) for scales in RUNS]
    for name in IDS:
        mask, found = np.full(SIZE, 255, np.uint8), {int(masks[name][0, 0]) for masks in predicted}
        mask[0, 0] = min({40, 90} - found)
        write_mask(data / "blocks" / f"{name}.png", mask)
    metrics, _, log = choose(capsys, model, data / "blocks")
    assert {row["agreement"] for row in metrics["candidates"]} == {0}
    assert "agree equally" in log and "first or the last" not in log


def test_max_side_is_that_of_predict(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limit = ("--max-side", "64")
    metrics, _, _ = choose(capsys, model, unrecorded(predict(model, (0.5, 0.75), *limit)), *limit)
    assert metrics["scales"] == [0.5, 0.75]
    assert max(row["agreement"] for row in metrics["candidates"]) == pytest.approx(1, abs=1e-3)


def relabelled(masks: Any) -> Any:
    """Return class indices for the values of the classes, and 255 for itself."""
    return np.array([0, 1, 2, 255])[np.searchsorted([0, 40, 90, 255], masks)]


def record(folder: Path, **provenance: Any) -> None:
    """Write the record of a finished stage."""
    stated = {"status": "done", "id": "crf", "uses": "crf", "provides": "masks", "identity": "0", "config": {}}
    (folder / "stage.json").write_text(json.dumps(stated | {"metrics": {}, "provenance": provenance}))


@pytest.mark.parametrize(
    ("supervision", "ground_truth"),
    [("image-level labels", "not used"), ("image-level labels and corrected masks", "corrected masks")],
)
def test_the_supervision_of_the_masks_is_stated(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str], supervision: str, ground_truth: str
) -> None:
    folder = data / predict(model, (0.75,))
    record(folder, supervision=supervision, threshold_policy="otsu")
    _, provenance, _ = choose(capsys, model, folder)
    assert provenance["scales"]["ground_truth"] == ground_truth
    assert provenance["scales"]["supervision"] == supervision
    assert provenance["scales"]["by"].startswith("mIoU of the network's masks with crf on")
    assert provenance["masks"]["supervision"] == supervision


@pytest.mark.parametrize(
    ("stated", "found"),
    [
        ({"supervision": "ground-truth masks"}, "ground-truth masks"),
        ({"threshold_policy": "ORACLE fixed .34 (best on the ground-truth masks)"}, "ORACLE fixed .34"),
        ({"snap": {"classes": "ORACLE: the most frequent class of the ground-truth masks"}}, "ORACLE: the most"),
        ({"calibrated": {"share_of": "ORACLE: ground-truth masks"}, "segmenter": "lraspp"}, "ORACLE: ground-truth"),
    ],
)
def test_masks_that_depend_on_the_ground_truth_are_refused(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str], stated: dict[str, Any], found: str
) -> None:
    folder = data / predict(model, (0.75,))
    record(folder, **({"supervision": "image-level labels"} | stated))
    assert _call(words(model, folder, "chosen")) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "scales.masks" in error and "depend on the ground truth" in error and found in error


def test_masks_of_a_network_are_refused(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They agree best at the scales of their own prediction, also after a CRF."""
    folder = data / predict(model, (0.75,))
    assert _call(words(model, folder, "chosen")) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "scales.masks" in error and "masks predicted by a network" in error and "pseudo stage" in error
    record(folder, supervision="image-level labels", segmenter="lraspp on resnet18", crf="irn")
    assert _call(words(model, folder, "chosen")) == 2
    assert "masks predicted by lraspp on resnet18" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("uses", "config", "noted"),
    [
        ("segment", {"split": "val"}, True),
        ("segment", {"split": "train"}, False),
        ("calibrate", {"mask_split": "val", "foreground": None}, True),
        ("calibrate", {"mask_split": "val", "foreground": 0.3}, False),
    ],
)
def test_a_training_split_is_noted(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str], uses: str, config: dict[str, Any], noted: bool
) -> None:
    network = data / "network"
    shutil.copytree(model, network)
    stated = {"status": "done", "id": uses, "uses": uses, "provides": "segmenter", "identity": "0"}
    (network / "stage.json").write_text(json.dumps(stated | {"config": config, "metrics": {}, "provenance": {}}))
    _, _, log = choose(capsys, network, unrecorded(predict(model, (0.75,))))
    assert ("trained on the split 'val'" in " ".join(log.split())) == noted


def test_uncertain_pixels_do_not_count(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    better, worse = (masks_of(predict(model, scales)) for scales in ((0.5,), (1.25,)))
    for name in IDS:
        mask = worse[name].copy()
        mask[:, 36:] = 255
        mask[:8] = better[name][:8]
        write_mask(data / "mixed" / f"{name}.png", mask)
    assert choose(capsys, model, data / "mixed")[0]["scales"] == [1.25]
    for name in IDS:
        mask = read_mask(data / "mixed" / f"{name}.png")
        mask[8:] = 255
        write_mask(data / "mixed" / f"{name}.png", mask)
    assert choose(capsys, model, data / "mixed", "--force")[0]["scales"] == [0.5]


@pytest.mark.parametrize(
    ("value", "found"), [(255, "4 of 4 masks contain 255"), (0, "none of the 4 masks shows a class")]
)
def test_masks_without_a_class(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str], value: int, found: str
) -> None:
    for name in IDS:
        mask = np.zeros(SIZE, np.uint8)
        mask[:20] = value
        write_mask(data / "empty" / f"{name}.png", mask)
    assert _call(words(model, data / "empty", "chosen")) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert found in error and ("renumber it: red 40, green 90" in error) == (value == 255)


def test_missing_masks(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = unrecorded(data / predict(model, (0.75,)))
    (folder / "masks/v2.png").unlink()
    assert _call(words(model, folder, "chosen")) == 2
    error = capsys.readouterr().err
    assert "v2" in error


@pytest.mark.parametrize("candidates", [[1], [1, 0.5], [0.5, 0.5, 1], []])
def test_invalid_candidates(candidates: list[float]) -> None:
    with pytest.raises(InvalidInput) as error:
        validate(ScalesConfig, {"candidates": candidates}, where="scales")
    assert error.value.subject == "scales.candidates"


@pytest.mark.slow
def test_two_processes_choose_the_same(model: Path, data: Path) -> None:
    folder = unrecorded(data / predict(model, (0.75,)))
    for count in (1, 2):
        done = several(count, *words(model, folder, f"by{count}"), cwd=data)
        assert done.returncode == 0, done.stderr
    first, second = (json.loads((data / f"by{count}/metrics.json").read_text()) for count in (1, 2))
    assert first == second and first["scales"] == [0.75]
