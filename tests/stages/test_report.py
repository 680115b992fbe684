from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.data.sample import Sample
from wsss.errors import InvalidInput
from wsss.io.files.atomic import write_json
from wsss.io.files.stage_files import PAGE, mask_path
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import write_png
from wsss.pipeline.run.runner import run_stage
from wsss.pipeline.stage import Artifact
from wsss.stages.common.finished_stages import finished_stages
from wsss.stages.report import STAGE, ReportConfig


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    mask = np.zeros((20, 30), np.uint8)
    mask[5:15, 5:25] = 1
    samples = []
    for place in range(5):
        name = f"image_{place}"
        write_png(tmp_path / f"{name}.png", np.full((20, 30, 3), 40 * place, np.uint8))
        write_mask(tmp_path / f"{name}_mask.png", mask)
        samples.append(Sample(name, tmp_path / f"{name}.png", (1,), tmp_path / f"{name}_mask.png"))
    return Dataset("boxes", tmp_path, Classes(("background", "box"), ((0,), (1,))), {"val": tuple(samples)})


@pytest.fixture
def run_dir(tmp_path: Path, data: Dataset) -> Path:
    """A run with the stages ``z`` and ``a`` in this order, an unfinished stage, and an older report."""
    run_dir = tmp_path / "run"
    masks = np.zeros((20, 30), np.uint8)
    masks[5:15, 5:20] = 1
    for sample in data.split("val"):
        write_mask(mask_path(run_dir / "z", sample.id), masks)
    scores = {
        "miou": 0.8125,
        "precision": 0.9,
        "recall": 0.8,
        "pixel_accuracy": 0.95,
        "iou": {"background": 0.9, "box": 0.725},
    }
    common = {"status": "done", "seconds": 2.0, "metrics": {}}
    stages = {
        "z": {**common, "uses": "predict", "inputs": {}},
        "a": {**common, "uses": "score", "inputs": {"pred": "z"}, "metrics": {**scores, "images": 5, "split": "val"}},
        "half": {**common, "uses": "predict", "inputs": {}, "status": "running"},
        "old": {**common, "uses": "report", "inputs": {"stages": ["z", "a"]}},
    }
    for name, record in stages.items():
        write_json(run_dir / name / "stage.json", {"id": name, "identity": name * 3, **record})
    listed = [{"id": name, "uses": stages[name]["uses"], "needs": []} for name in ("z", "a", "half", "old")]
    write_json(run_dir / "run.json", {"format": 1, "name": "boxes", "stages": listed})
    return run_dir


def artifacts(run_dir: Path) -> tuple[Artifact, ...]:
    keys = ("id", "uses", "identity", "config", "metrics", "provenance")
    stages = finished_stages(run_dir, print)
    return tuple(Artifact(stage.path, **{key: getattr(stage, key) for key in keys}) for stage in stages)


def test_finished_stages_are_collected_in_pipeline_order(run_dir: Path) -> None:
    stages = finished_stages(run_dir, print)
    assert [(stage.id, stage.uses, stage.identity) for stage in stages] == [
        ("z", "predict", "zzz"),
        ("a", "score", "aaa"),
    ]
    assert stages[1].metrics["miou"] == 0.8125


@pytest.mark.parametrize("make", [False, True])
def test_folder_without_a_stage_is_refused(tmp_path: Path, make: bool) -> None:
    if make:
        (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput) as error:
        finished_stages(tmp_path / "empty", print)
    assert error.value.subject == str(tmp_path / "empty")


def test_stage_writes_the_page(run_dir: Path, data: Dataset) -> None:
    config = ReportConfig(images=3)
    outcome = run_stage(STAGE, config, out=run_dir / "report", inputs={"stages": artifacts(run_dir)}, data=data, seed=1)
    html = (run_dir / "report" / PAGE).read_text(encoding="utf-8")
    assert outcome.metrics == {"stages": 2, "images_asked": 3}
    assert "<h1>run</h1>" in html and "0.812" in html
    assert html.count('<article class="row"') == 3
    again = run_stage(STAGE, config, out=run_dir / "report", inputs={"stages": artifacts(run_dir)}, data=data, seed=1)
    assert again.status == "skipped"


def test_a_broken_mask_does_not_prevent_the_report(run_dir: Path, data: Dataset) -> None:
    write_mask(data.split("val")[1].mask, np.zeros((3, 4), np.uint8))
    data.split("val")[2].mask.write_bytes(b"no picture")
    run_stage(STAGE, ReportConfig(), out=run_dir / "report", inputs={"stages": artifacts(run_dir)}, data=data)
    html = (run_dir / "report" / PAGE).read_text(encoding="utf-8")
    assert html.count('<article class="row"') == 5
    assert all(f"of image_{number}: unreadable: " in html for number in (1, 2))


def test_unknown_split_is_refused_before_the_run(data: Dataset) -> None:
    with pytest.raises(InvalidInput) as error:
        STAGE.check(ReportConfig(splits=("vall",)), data)
    assert (error.value.subject, error.value.found) == (str(data.root), "vall") and "val" in error.value.allowed


def test_importing_the_stage_imports_no_heavy_package() -> None:
    heavy = "torch cv2 albumentations scipy PIL jinja2 numpy"
    code = f"import sys, wsss.stages.report; print([name for name in {heavy.split()!r} if name in sys.modules])"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"
