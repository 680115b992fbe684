"""How much corrected masks gain: mIoU of the network by the number of training images whose mask a person corrected.

    wsss run mask_ablation --set data.root=PATH/TO/voc_animals --set 'matrix.variant=[walk]' --set 'matrix.seed=[0]' \\
        --until score-calibrated-crf --run-dir runs/seed-0
    python benchmarks/corrected_masks.py runs/seed-0 --masks PATH/TO/voc_animals/SegmentationClass --out FOLDER

The true masks of the first images that ``wsss rank`` lists (or of randomly drawn ones) are imported by
``wsss import-masks``. Then the run's stages from its last CRF on are repeated with these masks, with the run's own
settings and seed. Maps and walk are kept: the boundary network is not trained again. A training run takes 25 minutes on
one core. Finished stages in the output folder are kept. ``scores.csv`` in it has one row per network; the row without
corrected masks is the network of the run.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from measured_command import run

CRF, SEGMENT, CALIBRATE, PREDICT, LAST_CRF = (
    "crf",
    "segment",
    "calibrate",
    "predict-calibrated",
    "predict-calibrated-crf",
)
"""Stages of mask_ablation that are repeated, in order; their inputs are options of the commands."""


def record_of(run_dir: Path, name: str) -> tuple[Path, dict[str, Any]]:
    """Return the folder and the record of a stage of a run, whose id may contain keys of a matrix.

    Raises:
        SystemExit: the run has no such stage, or several.
    """
    folders = [folder for folder in run_dir.iterdir() if folder.name.split("@")[0] == name]
    if len(folders) != 1:
        raise SystemExit(f"{run_dir}: {len(folders)} stages {name}; expected one: a run of one variant and one seed")
    return folders[0], json.loads((folders[0] / "stage.json").read_text())


class RepeatedRun:
    """A run, and the commands that repeat its last stages."""

    def __init__(self, run_dir: Path, out: Path) -> None:
        """Read the dataset and the seed of the run from its records."""
        self.run_dir, self.out = run_dir, out
        data = json.loads((run_dir / "run.json").read_text())["pipeline"]["data"]
        self.data = [text for key, value in data.items() for text in (f"--data.{key}", json.dumps(value))]
        self.seed = int(record_of(run_dir, SEGMENT)[1]["seed"])

    def ranked(self, order: str) -> list[str]:
        """Return the ids of all training images in the order in which they are corrected: ``rank`` or ``random``."""
        listed = json.loads(run("rank", self.run_dir, "--json", show=False))["images"]
        ids = [image["id"] for image in listed]
        return ids if order == "rank" else random.Random(self.seed).sample(sorted(ids), len(ids))

    def scores(self, ids: list[str], truth: Path, weight: float, out: Path) -> dict[str, object]:
        """Repeat the stages with the true masks of some images, and return the scores of the network.

        Without images, the masks and the network of the run are used.
        """
        out.mkdir(parents=True, exist_ok=True)
        masks, network = (record_of(self.run_dir, name)[0] for name in (CRF, SEGMENT))
        if ids:
            masks, network = self.train(ids, truth, weight, out)
        calibrated = self.stage(out, "calibrate", CALIBRATE, "--weights", network, "--masks", masks)
        predicted = self.stage(out, "predict", PREDICT, "--weights", calibrated)
        refined = self.stage(out, "crf", LAST_CRF, "--masks", predicted)
        return {"network": self.score(out / "score", predicted), "network_crf": self.score(out / "score-crf", refined)}

    def train(self, ids: list[str], truth: Path, weight: float, out: Path) -> tuple[Path, Path]:
        """Repeat the CRF and the network's training with the true masks of some images, and return their folders."""
        corrections = out / "corrections"
        if not corrections.is_dir():
            run("import-masks", truth, "--ids", ",".join(ids), "--out", corrections, *self.data, show=False)
        pseudo, propagate = (record_of(self.run_dir, name)[0] for name in ("pseudo", "propagate"))
        trunk = record_of(self.run_dir, SEGMENT)[1]["inputs"].get("classifier")
        corrected = ["--set", f"corrections={corrections}"]
        inputs = ["--masks", pseudo, "--cams", propagate, "--splits", "train"]
        masks = self.stage(out, "crf", CRF, *inputs, *corrected)
        weighted = [*corrected, "--set", f"correction_weight={weight}"]
        initial = ["--classifier", self.run_dir / trunk] if trunk else []
        return masks, self.stage(out, "segment", SEGMENT, "--masks", masks, *initial, *weighted)

    def stage(self, out: Path, command: str, name: str, *options: str | Path) -> Path:
        """Run a stage with the settings that the run recorded for it, and return its folder."""
        config = self.out / f"{name}.yaml"
        config.write_text(yaml.safe_dump(record_of(self.run_dir, name)[1]["config"]))
        arguments = ["--config", config, *options, "--seed", str(self.seed), "--out", out / name]
        run(command, *arguments, *self.data)
        return out / name

    def score(self, folder: Path, masks: Path) -> float:
        """Return the mIoU of masks of the split that `PREDICT` predicts."""
        split = record_of(self.run_dir, PREDICT)[1]["config"]["splits"][0]
        run("score", "--pred", masks, "--split", split, "--out", folder, *self.data, show=False)
        return float(json.loads((folder / "metrics.json").read_text())["miou"])


def rows_of(run_dir: Path, options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Yield the scores of one run: without corrected masks, and with each number and order."""
    out = options.out / run_dir.name
    out.mkdir(parents=True, exist_ok=True)
    repeated = RepeatedRun(run_dir, out)
    for order, count in [("", 0), *itertools.product(options.orders, options.counts)]:
        ids = repeated.ranked(order)[:count] if count else []
        folder = out / (f"{order}-{count}-weight-{options.weight:g}" if count else "none")
        scores = repeated.scores(ids, options.masks, options.weight, folder)
        yield {"seed": repeated.seed, "order": order, "weight": options.weight, "corrected": count, **scores}


def main() -> None:
    """Print one row per network as CSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="finished runs of one variant and one seed")
    parser.add_argument("--masks", type=Path, required=True, help="folder of the true masks (SegmentationClass)")
    parser.add_argument("--out", type=Path, required=True, help="folder for corrections, stages and scores.csv")
    parser.add_argument("--counts", type=int, nargs="+", default=[20, 50], help="numbers of corrected images")
    parser.add_argument("--orders", nargs="+", default=["rank", "random"], choices=["rank", "random"])
    parser.add_argument("--weight", type=float, default=2.0, help="weight of corrected pixels in the loss")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    for run_dir in options.runs:
        for row in rows_of(run_dir, options):
            rows.append(row)
            print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
            with (options.out / "scores.csv").open("w", newline="") as file:
                table = csv.DictWriter(file, list(row))
                table.writeheader()
                table.writerows(rows)


if __name__ == "__main__":
    main()
