"""Images, label tables and plans of new pipelines, as `wsss init` makes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from wsss.data.checks.check_report import Finding
from wsss.data.importers.gather import gather
from wsss.data.importers.project import Project, plan_project


def draw(path: Path, seed: int = 0, size: tuple[int, int] = (24, 16)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)


def table(folder: Path, *rows: str) -> Path:
    (folder / "labels.csv").write_text("\n".join(["image,labels", *rows]) + "\n", encoding="utf-8")
    return folder / "labels.csv"


def kinds(findings: tuple[Finding, ...]) -> Mapping[str, tuple[str, ...]]:
    return {finding.kind: finding.examples for finding in findings}


def plan(images: Path, labels: Path | None, tmp_path: Path, **more: object) -> Project:
    return plan_project(gather(images, labels), tmp_path / "out", name="mine", **more)  # type: ignore[arg-type]
