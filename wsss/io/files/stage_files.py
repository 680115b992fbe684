"""Names and paths of the files in a stage's folder."""

from __future__ import annotations

from pathlib import Path

RECORD = "stage.json"
"""Record of a stage, in its folder: its config, inputs, and the hashes of its files."""

RUN = "run.json"
"""Record of a run, in its folder."""

RUNS = Path("runs")
"""Default parent of run directories, in the working directory."""

PAGE = "index.html"
"""The page of a report, in the folder of its stage."""

COPIES = {RECORD: ".wsss-stage.json", RUN: ".wsss-run.json"}
"""Backup copies of the records, from which ``wsss status --repair`` restores lost or damaged ones."""

CHECKPOINT = "checkpoint.pt"
"""State of an unfinished training run, in its stage's folder; deleted when the stage is done."""

CORRECTIONS = "corrections"
"""Folder of corrected masks, in that of a run; see `wsss.data.corrections.correction_folder`."""

CAMS = "cams"
"""Folder of class activation maps, in that of a stage."""

MASKS = "masks"
"""Folder of masks, in that of a stage."""

OFFSETS = "offsets"
"""Folder of a sampler's offsets, in that of a stage."""

PER_IMAGE = "per_image.csv"
"""Scores of each image, in the folder of a score stage."""

STRUCTURE = "structure.csv"
"""Topology scores of each image, in the folder of a score stage."""

HISTORY = "history.csv"
"""Losses and metrics of each epoch, in the folder of a training stage."""


def mask_path(folder: Path, image_id: str) -> Path:
    """Return the path of an image's mask (palette PNG)."""
    return folder / MASKS / f"{image_id}.png"


def cam_path(folder: Path, image_id: str) -> Path:
    """Return the path of an image's class activation maps (see `wsss.io.rasters.cams`)."""
    return folder / CAMS / f"{image_id}.npz"


def boundary_path(folder: Path, image_id: str) -> Path:
    """Return the path of an image's boundary map (see `wsss.io.rasters.boundaries`)."""
    return folder / "boundaries" / f"{image_id}.npz"


def probability_path(folder: Path, image_id: str) -> Path:
    """Return the path of an image's class probabilities: ``probabilities`` float16 ``(C, H, W)``."""
    return folder / "probabilities" / f"{image_id}.npz"


def offsets_path(folder: Path, image_id: str) -> Path:
    """Return the path of a sampler's offsets on an image (see `wsss.io.rasters.offsets`)."""
    return folder / OFFSETS / f"{image_id}.npz"
