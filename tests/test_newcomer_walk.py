"""A new user's walk: own photographs with good and bad names, sound and broken, to masks that another tool opens."""

from __future__ import annotations

import csv
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import warm
from PIL import Image

from wsss.io.rasters.label_masks import read_mask

HERE = {"PYTHONUNBUFFERED": "1", "COLUMNS": "200", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
LARGE = "Übersicht groß.JPG"
BROKEN, HEIC = "kaputt 17.jpg", "telefon.heic"
TINY = (
    "classify.epochs=1",
    "expand.epochs=1",
    "shrink.epochs=1",
    "segment.epochs=1",
    "cam.max_side=256",
    "predict.max_side=256",
)


def photograph(seed: int, size: tuple[int, int], *, scratch: bool) -> Image.Image:
    """A grey plate with fine grain; some have a bright scratch across it."""
    rng = np.random.default_rng(seed)
    height, width = size
    plate = rng.normal(120, 12, (height, width, 3))
    if scratch:
        row, slope = rng.uniform(0.3, 0.6) * height, rng.uniform(-0.2, 0.2)
        distance = np.abs(np.arange(height)[:, None] - row - slope * np.arange(width)[None])
        plate[distance < 0.04 * height] += 100
    return Image.fromarray(plate.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's folder: 18 photographs in ``Fotos Halle 3`` and the table ``prüfung.csv``."""
    folder = tmp_path_factory.mktemp("user")
    photos = folder / "Fotos Halle 3"
    rows: list[tuple[str, str]] = []
    for number in range(15):
        bad = number % 3 == 0
        name = f"{'Ausschuß' if bad else 'Gut'} {number:02}.{'jpg' if number % 2 else 'png'}"
        below = photos / ("Tag 1" if number < 5 else "Tag #2")
        below.mkdir(parents=True, exist_ok=True)
        photograph(number, (96, 128), scratch=bad).save(below / name)
        rows.append((name, "defect" if bad else "ok"))
    photograph(28, (1000, 1500), scratch=True).save(photos / LARGE, quality=80)
    photograph(29, (96, 128), scratch=True).save(photos / "ganz.jpg")
    content = (photos / "ganz.jpg").read_bytes()
    (photos / BROKEN).write_bytes(content[: len(content) // 2])
    (photos / "ganz.jpg").unlink()
    (photos / HEIC).write_bytes(b"\x00\x00\x00\x18ftypheic" + bytes(64))  # says HEIC, holds no image
    rows += [(LARGE, "defect"), (BROKEN, "defect"), (HEIC, "ok")]
    with (folder / "prüfung.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=";").writerows([("Bild", "Befund"), *rows])
    return folder


def wsss(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    import os

    done = subprocess.run(
        [*warm.command(), *words], cwd=folder, env={**os.environ, **HERE}, capture_output=True, text=True, timeout=1200
    )
    assert done.returncode == code, f"{words}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr and "bug in wsss" not in done.stderr
    return done


@pytest.mark.slow
def test_from_photographs_to_masks_in_another_tool(here: Path) -> None:
    first = wsss(here, "init", "--images", "Fotos Halle 3", "--labels", "prüfung.csv", "--weights", "none", code=2)
    assert "Befund" in first.stderr and "--label-key" in first.stderr
    init = wsss(
        here,
        *("init", "--images", "Fotos Halle 3", "--labels", "prüfung.csv", "--label-key", "Befund"),
        *("--weights", "none", "--name", "halle3"),
    )
    said = init.stderr
    assert "'ok' (11 times)" in said, "the guess that ok is no class is announced"
    assert BROKEN in said and HEIC in said and "heic" in said.lower()
    assert re.search(r"defect +│ +\d+", said)
    pipeline = init.stdout.split()[-1].strip("'")
    classes = (here / "wsss-halle3" / "classes.txt").read_text().split()
    assert classes == ["1", "defect"]
    check = wsss(here, "data", "check", "wsss-halle3")
    assert "No problems found." in check.stdout

    sets = [word for setting in TINY for word in ("--set", setting)]
    run = wsss(here, "run", pipeline, *sets, "--workers", "2")
    assert "warning" not in run.stderr.lower() or "background everywhere" in run.stderr
    again = wsss(here, "run", pipeline, *sets, "--workers", "2", "--json")
    stages = {stage["id"]: stage["status"] for stage in json.loads(again.stdout)["stages"]}
    assert set(stages.values()) == {"skipped"}, stages
    status = wsss(here, "status", "halle3", "--json")
    assert json.loads(status.stdout)["status"] == "done"

    masks = here / "runs" / "halle3" / "predict" / "masks"
    assert len(list(masks.glob("*.png"))) == 16
    wsss(here, "export", "halle3", "--format", "coco", "--out", "coco")
    open_in_coco(here, masks)


def open_in_coco(here: Path, masks: Path) -> None:
    """Read the export with COCO's own tools: sizes, names of the user's files, and the masks to the pixel."""
    from pycocotools.coco import COCO

    coco = COCO(str(next((here / "coco").glob("*.json"))))
    names = {image["file_name"]: image for image in coco.loadImgs(coco.getImgIds())}
    assert LARGE in names and names[LARGE]["height"] == 1000 and len(names) == 16
    assert all((here / "Fotos Halle 3" / name).is_file() for name in names), "names are those of the user's files"
    wanted = {path.stem for path in masks.glob("*.png")}
    for name, image in names.items():
        found = np.zeros((image["height"], image["width"]), np.uint8)
        for annotation in coco.loadAnns(coco.getAnnIds(image["id"])):
            found[coco.annToMask(annotation) > 0] = annotation["category_id"]
        stem = Path(name).stem
        mask = next(masks / f"{one}.png" for one in wanted if one == stem or one.endswith(stem))
        np.testing.assert_array_equal(found, read_mask(mask))
