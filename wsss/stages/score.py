"""Score masks against the ground truth: mIoU, per-class IoU, precision, recall, pixel accuracy."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from wsss.errors import InvalidInput, listing
from wsss.pipeline.stage import Context, Input, Read, Result, Stage, StageConfig

if TYPE_CHECKING:
    from wsss.data.sample import Classes, Sample

PER_IMAGE = "per_image.csv"


class ScoreConfig(StageConfig):
    """Config of `score`."""

    split: str = Field("val", description="split to score on")
    unsure: Literal["miss", "skip", "background"] = Field(
        "miss", description="pixels the masks leave uncertain (255): wrong, left out, or background"
    )


def run(ctx: Context[ScoreConfig]) -> Result:
    """Add up one confusion matrix over the split, and derive everything from it."""
    import numpy as np

    from wsss.io.atomic import write_text
    from wsss.metrics.overlap import overlap_scores
    from wsss.pipeline.items import map_items

    config, pred, classes = ctx.config, ctx.inputs["pred"], ctx.data.classes
    samples = ctx.data.split(config.split)
    folder = _masks_folder(pred.path)
    missing = [sample.id for sample in samples if not (folder / f"{sample.id}.png").is_file()]
    if missing:
        raise InvalidInput(
            f"{folder}: no mask for {len(missing)} of the {len(samples)} images of split {config.split!r} "
            f"({listing(missing)}).",
            mend="Predict that split first, or score another one (--split).",
        )
    work = partial(_count, folder=folder, classes=classes, unsure=config.unsure)
    per_image = [np.asarray(counts) for counts in map_items(ctx, samples, work, "scoring")]
    if ctx.ranks.rank == 0:
        write_text(ctx.out / PER_IMAGE, _table(samples, per_image, classes))
    scores = overlap_scores(np.sum(per_image, axis=0), classes.names)
    carried: Mapping[str, Any] = pred.provenance
    return Result(
        {
            **scores,
            "images": len(samples),
            "split": config.split,
            "unsure_counted_as": config.unsure,
            "threshold_policy": carried.get("threshold_policy"),
            "provenance": dict(carried),
        }
    )


def _masks_folder(folder: Path) -> Path:
    """A stage keeps its masks in ``masks/``; a folder from elsewhere may hold them itself."""
    inside = folder / "masks"
    return inside if inside.is_dir() else folder


def _count(sample: Sample, *, folder: Path, classes: Classes, unsure: Any) -> list[list[int]]:
    from wsss.data.sample import read_truth
    from wsss.io.masks import read_mask
    from wsss.metrics.overlap import confusion_matrix

    truth = read_truth(sample, classes)
    path = folder / f"{sample.id}.png"
    prediction = classes.encode(read_mask(path, size=truth.shape), where=str(path))
    return confusion_matrix(prediction, truth, len(classes), unsure=unsure).tolist()


def _table(samples: tuple[Sample, ...], per_image: list[Any], classes: Classes) -> str:
    """Return one CSV row per image: its scores over the classes it shows."""
    from wsss.metrics.overlap import overlap_scores

    keys = ("miou", "precision", "recall", "pixel_accuracy", "unsure")
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["image_id", *keys, *(f"iou_{name}" for name in classes.names)])
    for sample, counts in zip(samples, per_image, strict=True):
        scores = overlap_scores(counts, classes.names)
        row = [*(scores[key] for key in keys), *scores["iou"].values()]
        table.writerow([sample.id, *("" if value is None else f"{value:.6f}" for value in row)])
    return text.getvalue()


def _check(config: ScoreConfig, data: Any) -> None:
    samples = data.split(config.split)
    without = [sample.id for sample in samples if sample.mask is None]
    if without:
        raise InvalidInput(
            f"score: {len(without)} of the {len(samples)} images of split {config.split!r} have no ground-truth mask "
            f"({listing(without)}).",
            mend="Score a split that has masks, or leave the score stage out.",
        )


STAGE = Stage(
    name="score",
    version=1,
    config=ScoreConfig,
    run=run,
    provides="scores",
    help="Score masks against the ground truth (mIoU and more).",
    inputs={"pred": Input(("masks",), "folder of masks: of a stage, or any folder with ID.png")},
    reads=lambda config: [Read(config.split, "masks")],
    check=_check,
)
