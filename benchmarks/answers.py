"""How many answers masks need: Dice of weak masks by the number of answers, for random and uncertain order.

Run it with ``python benchmarks/answers.py --root PATH/TO/TopoMortar --out FOLDER`` (``--help`` for the options; the
whole table takes hours on two cores). A simulated person, who knows the accurate masks, answers the questions of ``wsss
ask`` through the page's own interface. After 100, 200, 400 and 1,000 answers, a classifier is trained on the answered
tiles, and the masks of its maps are compared with the accurate ones. With the order ``uncertain``, the next questions
are chosen by the maps of the last step; the first ones are random. Finished steps are kept in the output folder.
``--noise 0 0.05 0.1`` inverts a share of the labels.
"""

from __future__ import annotations

import argparse
import csv
import functools
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measured_command import run
from numpy.typing import NDArray
from simulated_annotator import answer_questions, asking

PIPELINE = """name: answers
seed: {seed}
data: {{layout: topomortar, root: {root}}}
stages:
  tiles: {{uses: tiles, with: {{split: {split}, answers: {answers}, label_noise: {noise}}}}}
  classify: {{uses: classify, needs: [tiles], with: {{preset: classify/tiles, split: {split}}}}}
  cam:
    uses: cam
    needs: [classify]
    with: {{splits: [{split}], scales: [1], flip: false, stride: 1, activation: sigmoid}}
  pseudo: {{uses: pseudo, needs: [cam], with: {{splits: [{split}], policy: {{name: otsu, scope: image}}}}}}
  score: {{uses: score, needs: [pseudo], with: {{split: {split}, structure: [dice, cldice]}}}}
"""


def true_masks(root: Path, split: str, work: Path) -> functools._lru_cache_wrapper[NDArray[np.uint8]]:
    """Return the function from the id of an image to its true mask."""
    from wsss.data.readers.registry import open_dataset
    from wsss.data.sample_mask import read_sample_mask

    data = open_dataset({"layout": "topomortar", "root": str(root)}, work=work)
    samples = {sample.id: sample for sample in data.split(split)}
    return functools.lru_cache(maxsize=None)(lambda image: read_sample_mask(samples[image], data.classes))


def answered(table: Path) -> int:
    """Return the number of answered tiles, also after the benchmark was killed and started again."""
    from wsss.data.answers.answer_rows import read_complete

    return len({answer.item for answer in read_complete(table)})


def curve(options: argparse.Namespace, order: str, seed: int, noise: float) -> Iterator[dict[str, object]]:
    """Yield the scores after each number of answers, for one order, seed and share of wrong labels."""
    folder = options.out / (f"{order}-{seed}" + (f"-{noise:g}" if noise else ""))
    folder.mkdir(parents=True, exist_ok=True)
    truth = true_masks(options.root, options.split, folder)
    table = folder / "answers.csv"
    last: Path | None = None
    for count in options.answers:
        step = folder / str(count)
        snapshot = folder / f"answers-{count}.csv"
        if not snapshot.is_file():
            common = [
                str(options.root),
                "--data.layout",
                "topomortar",
                "--split",
                options.split,
                "--answers",
                str(table),
            ]
            guided = ["--order", "uncertain", "--run", str(last)] if order == "uncertain" and last else []
            with asking([*common, "--seed", str(seed), "--count", "5000", *guided]) as url:
                answer_questions(url, "simulated", {"mortar": 1}, truth, count=count - answered(table))
            snapshot.write_bytes(table.read_bytes())
        pipeline = folder / f"{count}.yaml"
        names = {"root": options.root.resolve(), "split": options.split, "answers": snapshot.resolve(), "seed": seed}
        pipeline.write_text(PIPELINE.format(**names, noise=noise))
        run("run", pipeline, "--run-dir", step)
        scores = json.loads((step / "score" / "metrics.json").read_text())
        tiles = json.loads((step / "tiles" / "metrics.json").read_text())
        yield {
            "order": order,
            "seed": seed,
            "noise": noise,
            "answers": count,
            "tiles": tiles["tiles"],
            "without_mortar": tiles["without_any_class"],
            "dice": scores["structure"]["mean"]["dice"],
            "cldice": scores["structure"]["mean"]["cldice"],
        }
        last = step / "cam"


def main() -> None:
    """Print one row per order, seed and number of answers as CSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="TopoMortar, or walls of wsss data synth bricks")
    parser.add_argument("--out", type=Path, required=True, help="folder for answers, runs and scores.csv")
    parser.add_argument("--split", default="train-large-accurate")
    parser.add_argument("--answers", type=int, nargs="+", default=[100, 200, 400, 1000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--orders", nargs="+", default=["random", "uncertain"])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0], help="shares of wrong labels")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    for seed, order, noise in itertools.product(options.seeds, options.orders, options.noise):
        for row in curve(options, order, seed, noise):
            rows.append(row)
            print(row, flush=True)
    with (options.out / "scores.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
