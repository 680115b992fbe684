"""Mutated records in a run directory: every command succeeds, or ends with an error for the user."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from mutations import mutations

from wsss.cli.main import cli
from wsss.data.masks.predicted_masks import PREDICTED, Predicted, write_predicted
from wsss.data.readers.registry import open_dataset
from wsss.errors import InvalidInput
from wsss.io.files.atomic import write_json
from wsss.io.files.stage_files import RECORD, RUN
from wsss.io.rasters.label_masks import write_mask
from wsss.pipeline.config.spec import load_spec
from wsss.pipeline.store import stage_folder
from wsss.pipeline.store.run_folder import write_run
from wsss.stages import STAGES

PIPELINE = Path(__file__).parents[1] / "support" / "hostile.yaml"
MUTATIONS = 30
EVERY = 10
"""The report, which takes longest, runs for one in so many mutations."""

METRICS: dict[str, dict[str, Any]] = {
    "classify": {"images": 4, "val_map": 0.5},
    "pseudo": {"images": 6, "contradictions": [{"image": "val_00000", "contradiction": "shows a ring"}]},
    "score": {"miou": 0.5, "iou": {"background": 0.7, "ring": None}, "images": 2, "split": "val", "precision": None},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory written directly, without training."""
    folder = tmp_path_factory.mktemp("box") / "run"
    spec = load_spec(str(PIPELINE), STAGES, ())
    data = open_dataset(spec.data, work=folder / "data", log=lambda line: None, locate=lambda key: "")
    needs: dict[str, list[str]] = {"classify": [], "cam": ["classify"], "pseudo": ["cam"], "score": ["pseudo"]}
    stages = [{"id": id, "uses": id, "needs": of} for id, of in needs.items()]
    pipeline = {"name": "hostile", "data": dict(spec.data), "stages": {}}
    write_run(folder, {"name": "hostile", "status": "done", "pipeline": pipeline, "stages": stages, "failed": None})
    for id, of in needs.items():
        (folder / id).mkdir()
        if id == "pseudo":
            for sample in data.splits["val"]:
                write_mask(folder / id / "masks" / f"{sample.id}.png", np.zeros((32, 32), np.uint8))
            write_predicted(folder / id, Predicted(data.classes, {"val_00000": "val_00000.png"}))
        write_json(folder / id / stage_folder.METRICS, METRICS.get(id, {}))
        stage_folder.write_record(folder / id, _record(folder / id, id, of))
    return folder


def _record(folder: Path, id: str, needs: list[str]) -> dict[str, Any]:
    return {
        "id": id,
        "uses": id,
        "provides": STAGES[id].provides,
        "status": "done",
        "identity": "a" * 64,
        "identity_parts": {"stage": id, "version": 1, "seed": 0, "config": {"a": 1}, "inputs": {}, "reads": {}},
        "config": {"splits": ["val"]},
        "inputs": {"first": needs[0]} if needs else {},
        "seed": 0,
        "metrics": METRICS.get(id, {}),
        "provenance": {"supervision": "image-level labels", "cam": {"scales": [1.0]}},
        "seconds": 1.5,
        "finished": "2026-01-01T00:00:00+00:00",
        "machine": {"ranks": 1, "workers": 1, "threads": 1, "effective_batch": None},
        "versions": {"torch": "2"},
        "artifacts": stage_folder.list_artifacts(folder),
    }


@pytest.mark.slow
def test_every_command_survives_mutated_records(run: Path, tmp_path: Path) -> None:
    (run.parent / "victim").write_text("kept")
    files = [
        run / RUN,
        run / "pseudo" / PREDICTED,
        *sorted(run.glob(f"*/{RECORD}")),
        run / "score" / stage_folder.METRICS,
    ]
    streams = {path: mutations(json.loads(path.read_bytes()), seed) for seed, path in enumerate(files)}
    generator = random.Random(0)
    refused = 0
    for number in range(MUTATIONS):
        path = generator.choice(files)
        original = path.read_bytes()
        change, content = next(streams[path])
        path.write_bytes(content)
        for arguments in _commands(run, tmp_path / f"out{number}", report=number % EVERY == 0):
            error = CliRunner().invoke(cli, arguments).exception
            refused += isinstance(error, InvalidInput)
            clean = error is None or isinstance(error, InvalidInput | SystemExit)
            assert clean, f"{arguments[0]}: {path.relative_to(run)}: {change}: {error!r}"
        path.write_bytes(original)
        assert sorted(path.name for path in run.parent.iterdir()) == ["run", "victim"], change
    assert refused > MUTATIONS / 5


def _commands(run: Path, out: Path, *, report: bool) -> list[list[str]]:
    commands = [
        ["status", str(run)],
        ["status", str(run), "--verify"],
        ["run", str(PIPELINE), "--run-dir", str(run), "--dry-run"],
        ["export", str(run), "--format", "voc", "--out", str(out)],
    ]
    page = ["report", str(run), "--gallery", "0", "--topology", "0", "--sampling", "0", "--out", str(out) + ".page"]
    return [*commands, page] if report else commands
