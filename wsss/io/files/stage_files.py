"""Names of files in a stage's folder, and where it keeps what it makes of each image."""

from __future__ import annotations

from pathlib import Path

RECORD = "stage.json"
"""Record of a stage, in its folder: what made it, and the hashes of its files."""

RUN = "run.json"
"""Record of a run, in its folder."""

RUNS = Path("runs")
"""Folder of the run directories that are called by a name alone, in the working directory."""

COPIES = {RECORD: ".wsss-stage.json", RUN: ".wsss-run.json"}
"""The records' copies beside them, from which ``wsss status --repair`` restores one that is lost or damaged."""

CHECKPOINT = "checkpoint.pt"
"""State of an unfinished training run, in its stage's folder; deleted once the stage is recorded as done."""


def mask_path(folder: Path, image_id: str) -> Path:
    """Return the path of an image's mask (palette PNG)."""
    return folder / "masks" / f"{image_id}.png"


def cam_path(folder: Path, image_id: str) -> Path:
    """Return the path of an image's class activation maps (see `wsss.io.rasters.cams`)."""
    return folder / "cams" / f"{image_id}.npz"


def probability_path(folder: Path, image_id: str) -> Path:
    """Return the path of an image's class probabilities: ``probabilities`` float16 ``(C, H, W)``."""
    return folder / "probabilities" / f"{image_id}.npz"


def offsets_path(folder: Path, image_id: str) -> Path:
    """Return the path of a sampler's offsets on an image (see `wsss.io.rasters.offsets`)."""
    return folder / "offsets" / f"{image_id}.npz"
