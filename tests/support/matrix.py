"""Scores of a small matrix (variants × seeds), computed by the sweep, pseudo and score stages from synthetic maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wsss.data.dataset import Dataset
from wsss.data.sample_mask import read_sample_mask
from wsss.io.files.stage_files import cam_path
from wsss.io.rasters.cams import Cams, write_cams
from wsss.pipeline.run.runner import run_stage
from wsss.pipeline.stage import Artifact
from wsss.stages.pseudo import STAGE as PSEUDO
from wsss.stages.score import STAGE as SCORE
from wsss.stages.sweep import STAGE as SWEEP

VARIANTS = {"control": 0.25, "better": 0.1, "worse": 0.4}
"""Variant → noise of its maps."""


def draw_maps(folder: Path, data: Dataset, noise: float, seed: int, splits: Sequence[str]) -> None:
    """Write maps of the ground truth with noise."""
    generator = np.random.default_rng([seed, int(1000 * noise)])
    for sample in data.samples(splits):
        truth = read_sample_mask(sample, data.classes)
        clean = [np.where(truth == index, 0.6, 0.25)[::4, ::4] for index in sample.labels or ()]
        maps = [(one + generator.normal(0, noise, one.shape)).clip(0, 1) for one in clean]
        stacked = np.stack(maps).astype(np.float32) if maps else np.zeros((0, 1, 1), np.float32)
        write_cams(cam_path(folder, sample.id), Cams(stacked, sample.labels or (), truth.shape))


def score_matrix(
    run: Path,
    data: Dataset,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    splits: Sequence[str] = ("val",),
    variants: dict[str, float] | None = None,
) -> tuple[Artifact, ...]:
    """Write maps, pseudo masks, sweeps and scores of a matrix; return the scores in the order of a pipeline."""
    made: dict[str, list[Artifact]] = {}
    for variant, noise in (variants or VARIANTS).items():
        for seed in seeds:
            at = f"@variant={variant},seed={seed}"
            cam, pseudo = run / f"cam{at}", run / f"pseudo{at}"
            draw_maps(cam, data, noise, seed, splits)
            run_stage(
                PSEUDO,
                PSEUDO.config.model_validate({"splits": splits}),
                out=pseudo,
                inputs={"cams": Artifact(cam)},
                data=data,
            )
            for split in splits:
                for stage, name, source in ((SCORE, "pred", pseudo), (SWEEP, "cams", cam)):
                    out = run / f"{stage.name}-{split}{at}"
                    config = stage.config.model_validate({"split": split})
                    provenance = {"threshold_policy": "otsu per class"} if stage is SCORE else {}
                    inputs = {name: Artifact(source, id=source.name, provenance=provenance)}
                    outcome = run_stage(stage, config, out=out, inputs=inputs, data=data)
                    made.setdefault(f"{stage.name}-{split}", []).append(outcome.artifact)
    return tuple(artifact for several in made.values() for artifact in several)
