"""Precision–recall charts of several sweeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wsss.errors import InvalidInput
from wsss.io.sparse_counts import SparseCounts
from wsss.io.sweeps import SWEEP_COUNTS, SweepCounts, write_sweep_counts
from wsss.pipeline.stage import Artifact
from wsss.stages.common.scores.compare_curves import gather_curves
from wsss.stages.common.scores.matrix_position import MatrixPosition
from wsss.stages.sweep import STAGE


def swept(folder: Path, levels: tuple[float, ...]) -> Artifact:
    """Return the result of a sweep of one image."""
    folder.mkdir()
    counts = SparseCounts.of((len(levels), 3, 2), [np.ones((len(levels), 3, 2), np.int64)])
    write_sweep_counts(folder / SWEEP_COUNTS, SweepCounts(("background", "a"), levels, ("image",), counts))
    return Artifact(folder, id=folder.name, uses="sweep", metrics={"best_threshold": levels[0], "split": "val"})


def test_sweeps_with_different_thresholds_are_refused_with_the_setting_to_change(tmp_path: Path) -> None:
    scores = [swept(tmp_path / "sweep@seed=0", (0.0, 0.5)), swept(tmp_path / "sweep@seed=1", (0.0, 0.25, 0.5))]
    positions = {score.id: MatrixPosition("sweep", "all", seed, {}) for score, seed in zip(scores, "01", strict=True)}
    with pytest.raises(InvalidInput) as caught:
        gather_curves(scores, positions, {}, None)
    assert "thresholds" in STAGE.config.model_fields
    assert caught.value.hint == "Set thresholds to the same value in all sweep stages."
