"""A tiny pipeline through `affinity`, `propagate` and `par`: order, resumption, identities, report, damaged inputs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from onethread import one_thread

import wsss
from wsss.errors import InvalidInput
from wsss.io.files.stage_files import boundary_path, cam_path, mask_path

__all__ = ["one_thread"]  # a fixture of every test here

pytestmark = pytest.mark.slow

PIPELINE = """\
name: walk
seed: 3
data: {layout: shapes, size: 40, train: 4, val: 2, classes: 2}
stages:
  classify:
    uses: classify
    with:
      convnet: {widths: [8, 8]}
      epochs: 1
      batch_size: 2
      augmentation: {size: 32}
  cam: {uses: cam, needs: [classify], with: {splits: [train, val]}}
  pseudo-sure: {uses: pseudo, needs: [cam], with: {preset: pseudo/otsu_li_sure}}
  crf-sure: {uses: crf, needs: [pseudo-sure, cam], with: {preset: crf/irn, iterations: 2}}
  affinity:
    uses: affinity
    needs: [classify, crf-sure]
    with: {preset: affinity/irn, epochs: 1, augmentation: {size: 32}}
  propagate: {uses: propagate, needs: [cam, affinity], with: {preset: propagate/irn, steps: 8, splits: [train, val]}}
  par: {uses: par, needs: [propagate], with: {preset: par/afa, iterations: 2, splits: [train, val]}}
  pseudo: {uses: pseudo, needs: [par], with: {preset: pseudo/otsu_li, splits: [train, val]}}
  crf: {uses: crf, needs: [pseudo, par], with: {preset: crf/irn, iterations: 2, splits: [train, val]}}
  score: {uses: score, needs: [crf], with: {split: val}}
  report:
    uses: report
    needs: [classify, cam, affinity, propagate, par, pseudo, crf, score]
    with: {splits: [val]}
"""


def run(run_dir: Path, **overrides: Any) -> dict[str, str]:
    """Run the pipeline; return stage → status."""
    file = run_dir.parent / "walk.yaml"
    file.write_text(PIPELINE, encoding="utf-8")
    keys = {key.replace("__", "."): value for key, value in overrides.items()}
    done = wsss.run_pipeline(file, keys, run_dir, device="cpu", workers=0, quiet=True)
    return {stage["id"]: stage["status"] for stage in done["stages"]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; read-only."""
    run_dir = tmp_path_factory.mktemp("walk") / "run"
    assert set(run(run_dir).values()) == {"done"}
    return run_dir


@pytest.fixture
def run_dir(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_every_image_has_maps_and_scores_record_the_walk(finished: Path) -> None:
    ids = {path.stem for path in (finished / "cam" / "cams").iterdir()}
    assert len(ids) == 6
    assert all(cam_path(finished / stage, name).is_file() for stage in ("propagate", "par") for name in ids)
    assert all(boundary_path(finished / "propagate", name).is_file() for name in ids)
    assert all(mask_path(finished / "crf", name).is_file() for name in ids)
    recorded = (finished / "score" / "stage.json").read_text(encoding="utf-8")
    provenance = json.loads(recorded)["provenance"]
    assert provenance["propagate"] == {
        "affinity": "learned",
        "beta": 10,
        "steps": 8,
        "radius": 5,
        "boundary_factor": True,
        "clip_quantile": 1,
    }
    assert provenance["boundaries"]["affinity"] == {"radius": 5, "images": 4}
    assert "±" in provenance["boundaries"]["threshold_policy"] and "±" not in provenance["threshold_policy"]
    assert provenance["boundaries"]["crf"] == provenance["crf"]  # one CRF each, not "…, then …"
    settings = {"iterations": 2, "dilations": [1, 2, 4, 8, 12, 24], "width": 0.3, "position_weight": 0.01}
    assert provenance["par"] == {**settings, "stride": 2}
    page = (finished / "report" / "index.html").read_text(encoding="utf-8")
    assert all(stage in page for stage in ("affinity", "propagate", "par"))


def test_a_finished_run_is_skipped_and_settings_re_run_what_depends_on_them(run_dir: Path) -> None:
    assert set(run(run_dir).values()) == {"skipped"}
    statuses = run(run_dir, propagate__beta=5)
    assert {id for id, status in statuses.items() if status == "done"} == {
        "propagate",
        "par",
        "pseudo",
        "crf",
        "score",
        "report",
    }


def test_a_damaged_boundary_network_is_refused(run_dir: Path) -> None:
    model = run_dir / "affinity" / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-100])
    shutil.rmtree(run_dir / "propagate")
    with pytest.raises(InvalidInput):
        wsss.run_pipeline(run_dir.parent / "walk.yaml", {}, run_dir, start="propagate", workers=0, quiet=True)
