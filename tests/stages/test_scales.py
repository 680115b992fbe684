"""The stage `scales`: the chosen scales are those whose masks agree best with the masks of the input."""

from __future__ import annotations

import json
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


def predict(model: Path, scales: tuple[float, ...]) -> Path:
    """Predict val at some scales; return the folder."""
    out = Path("-".join(map(str, scales)))
    chosen = ",".join(map(str, scales))
    words = ["predict", "--weights", str(model), "--data.root", "data", "--splits", "val", "--out", str(out)]
    assert _call([*words, "--scales", chosen, "--flip"]) == 0
    return out


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


@pytest.mark.parametrize("best", [(0.75,), (1.25,), (0.5, 0.75), (0.5, 0.75, 1.25)])
def test_masks_of_the_network_itself_are_agreed_with(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str], best: tuple[float, ...]
) -> None:
    """The agreement of every candidate is the mIoU of what `predict` writes at its scales, which differ."""
    folder = data / predict(model, best)
    (folder / "stage.json").unlink()  # as masks of another origin
    (folder / ".wsss-stage.json").unlink()
    metrics, provenance, log = choose(capsys, model, folder)
    assert metrics["scales"] == list(best) and metrics["flip"] and metrics["images"] == len(IDS)
    agreement = {tuple(row["scales"]): row["agreement"] for row in metrics["candidates"]}
    assert list(agreement) == RUNS
    assert agreement[best] == 1 and sorted(agreement.values())[-2] < 1
    truth = np.stack(list(masks_of(folder).values()))
    for scales, value in agreement.items():
        if scales != best:
            found = np.stack(list(masks_of(predict(model, scales)).values()))
            assert value == pytest.approx(mean_iou(relabelled(found), relabelled(truth), classes=3), abs=1e-6)
    assert provenance["scales"] == {
        "chosen": list(best),
        "by": f"mIoU of the network's masks with other masks on {len(IDS)} images",
        "supervision": "masks of unstated origin",
        "ground_truth": "unknown",
    }
    assert f"--scales {','.join(f'{scale:g}' for scale in best)})" in log
    assert ("first or last" in log) == (best == (1.25,))


def relabelled(masks: Any) -> Any:
    """Return class indices for the values of the classes."""
    return np.searchsorted([0, 40, 90], masks)


def record(folder: Path, **provenance: str) -> None:
    """Write the record of a finished stage."""
    stated = {"status": "done", "id": "crf", "uses": "crf", "provides": "masks", "identity": "0", "config": {}}
    (folder / "stage.json").write_text(json.dumps(stated | {"metrics": {}, "provenance": provenance}))


def test_the_supervision_of_the_masks_is_stated(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = data / predict(model, (0.75,))
    record(folder, supervision="image-level labels", threshold_policy="otsu")
    _, provenance, _ = choose(capsys, model, folder)
    assert provenance["scales"]["ground_truth"] == "not used"
    assert provenance["scales"]["supervision"] == "image-level labels"
    assert provenance["scales"]["by"].startswith("mIoU of the network's masks with crf on")
    assert provenance["masks"]["supervision"] == "image-level labels"


@pytest.mark.parametrize(
    ("supervision", "policy"),
    [("ground-truth masks", "otsu"), ("image-level labels", "ORACLE fixed .34 (best on the ground-truth masks)")],
)
def test_ground_truth_is_refused(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str], supervision: str, policy: str
) -> None:
    folder = data / predict(model, (0.75,))
    record(folder, supervision=supervision, threshold_policy=policy)
    assert _call(words(model, folder, "chosen")) == 2
    error = capsys.readouterr().err
    assert "scales.masks" in error and (policy if "ORACLE" in policy else supervision) in error


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


def test_masks_without_certain_pixels(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in IDS:
        write_mask(data / "empty" / f"{name}.png", np.full(SIZE, 255, np.uint8))
    assert _call(words(model, data / "empty", "chosen")) == 2
    assert "all pixels of the masks are uncertain" in capsys.readouterr().err


def test_missing_masks(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = data / predict(model, (0.75,))
    (folder / "masks/v2.png").unlink()
    assert _call(words(model, folder, "chosen")) == 2
    error = capsys.readouterr().err
    assert "v2" in error


@pytest.mark.parametrize("candidates", [[1], [1, 0.5], [0.5, 0.5, 1], []])
def test_invalid_candidates(candidates: list[float]) -> None:
    with pytest.raises(InvalidInput) as error:
        validate(ScalesConfig, {"candidates": candidates}, where="scales")
    assert error.value.subject == "scales.candidates"


def test_two_processes_choose_the_same(model: Path, data: Path) -> None:
    folder = data / predict(model, (0.75,))
    for count in (1, 2):
        done = several(count, *words(model, folder, f"by{count}"), cwd=data)
        assert done.returncode == 0, done.stderr
    first, second = (json.loads((data / f"by{count}/metrics.json").read_text()) for count in (1, 2))
    assert first == second and first["scales"] == [0.75]
