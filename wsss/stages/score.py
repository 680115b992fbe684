"""Score masks against the ground truth: mIoU, per-class IoU, precision, recall, pixel accuracy."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from wsss.errors import InvalidInput, listing
from wsss.metrics.structure import COLUMNS, Group
from wsss.metrics.topomortar import FILE, GROUPS, WINDOW
from wsss.pipeline.stage import Context, Input, Read, Result, Stage, StageConfig
from wsss.validation import AddedLater

if TYPE_CHECKING:
    from wsss.data.sample import Classes, Sample

PER_IMAGE = "per_image.csv"
STRUCTURE = "structure.csv"


class ScoreConfig(StageConfig):
    """Config of `score`."""

    split: str = Field("val", description="split to score on")
    unsure: Literal["miss", "skip", "background"] = Field(
        "miss", description="pixels the masks leave uncertain (255): wrong, left out, or background"
    )
    pred_values: Annotated[Literal["ours", "dataset"], AddedLater()] = Field(
        "ours",
        description="values of the masks: as we write them (255 = unsure), or as the dataset's own masks have them "
        "(TopoMortar's: 255 = mortar)",
    )
    structure: tuple[Group, ...] = Field(
        (), description="also score topology and surfaces, per image and class: betti, local_betti, cldice …"
    )
    topomortar: Annotated[bool, AddedLater()] = Field(
        False, description=f"also write {FILE}: a row per image in the column names of TopoMortar's authors"
    )
    window: int = Field(128, ge=1, description="of local_betti: side of the windows in pixels")
    frame: Literal["own-max", "none"] = Field("own-max", description="of betti_matching; own-max is the paper's")
    transposed: Annotated[bool, AddedLater()] = Field(
        False,
        description="of cldice: skeletons of the transposed masks, as in the results of TopoMortar's authors, whose "
        "program swaps the axes",
    )

    @model_validator(mode="after")
    def _windows_are_the_authors(self) -> ScoreConfig:
        if self.topomortar and self.window != WINDOW:
            raise ValueError(f"topomortar: true goes with window: {WINDOW}, the authors'")
        return self

    @model_validator(mode="after")
    def _transposed_for_cldice(self) -> ScoreConfig:
        if self.transposed and "cldice" not in self.groups:
            raise ValueError("transposed: it changes cldice alone; add cldice to structure, or leave transposed out")
        return self

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups of structure scores to compute, in the order of `wsss.metrics.structure.COLUMNS`."""
        wanted = {*self.structure, *(GROUPS if self.topomortar else ())}
        return tuple(group for group in COLUMNS if group in wanted)


def run(ctx: Context[ScoreConfig]) -> Result:
    """Add up one confusion matrix over the split, and derive everything from it."""
    import numpy as np

    from wsss.io.atomic import write_text
    from wsss.io.confusions import CONFUSIONS, Confusions, write_confusions
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
    counted = map_items(ctx, samples, partial(_count, folder=folder, classes=classes, config=config), "scoring")
    per_image = [np.asarray(counts) for counts, _, _ in counted]
    total = np.sum(per_image, axis=0)
    others = np.sum([outside for _, outside, _ in counted], axis=0)
    _check_unsure(samples, folder, predicted=int(total[:, 1:-1].sum()), config=config)
    _check_values(ctx, folder, others, predicted=int(total[:, 1:-1].sum()))
    if ctx.ranks.rank == 0:
        write_text(ctx.out / PER_IMAGE, _table(samples, per_image, classes))
        named = {sample.id: counts for sample, counts in zip(samples, per_image, strict=True)}
        write_confusions(ctx.out / CONFUSIONS, Confusions(classes.names, named))
    scores = overlap_scores(total, classes.names)
    carried: Mapping[str, Any] = pred.provenance
    return Result(
        {
            **scores,
            "images": len(samples),
            "split": config.split,
            "unsure_counted_as": config.unsure,
            "other_class_pixels": int(others.sum()),
            "threshold_policy": carried.get("threshold_policy"),
            **_structure(ctx, samples, [structure for _, _, structure in counted]),
            "provenance": dict(carried),
        }
    )


def _structure(
    ctx: Context[ScoreConfig], samples: tuple[Sample, ...], per_image: list[dict[int, list[float]]]
) -> dict[str, Any]:
    """Write a row per image and class, and return the means; nothing unless asked for."""
    from wsss.io.atomic import write_text
    from wsss.io.results import write_scores
    from wsss.metrics.structure import summarise, table_rows
    from wsss.metrics.topomortar import topomortar_columns

    config, names = ctx.config, ctx.data.classes.names
    if not config.groups:
        return {}
    if ctx.ranks.rank == 0:
        ids = [sample.id for sample in samples]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(table_rows(ids, per_image, names, config.groups))
        write_text(ctx.out / STRUCTURE, text.getvalue())
        if config.topomortar:
            write_scores(ctx.out / FILE, ids, topomortar_columns(per_image, config.groups))
    settings: dict[str, Any] = {"window": config.window, "frame": config.frame}
    if config.transposed:
        settings["transposed"] = True
    return {"structure": {**settings, **summarise(per_image, names, config.groups)}}


def _masks_folder(folder: Path) -> Path:
    """A stage keeps its masks in ``masks/``; a folder from elsewhere may hold them itself."""
    inside = folder / "masks"
    return inside if inside.is_dir() else folder


def _count(
    sample: Sample, *, folder: Path, classes: Classes, config: ScoreConfig
) -> tuple[list[list[int]], list[int], dict[int, list[float]]]:
    """Return an image's confusion matrix, how many pixels have each value of a class left out, and what
    `wsss.metrics.structure.structure_scores` says.
    """
    import numpy as np

    from wsss.data.sample import read_truth
    from wsss.io.images import image_size
    from wsss.io.masks import read_mask
    from wsss.metrics.overlap import confusion_matrix
    from wsss.metrics.structure import structure_scores

    truth = read_truth(sample, classes)
    path = folder / f"{sample.id}.png"
    mask = read_mask(path)
    if mask.shape != truth.shape:  # the image's own size tells which of the two is wrong
        size = image_size(sample.image)
        read_truth(sample, classes, size=size)
        read_mask(path, size=size)
    values = np.bincount(mask.ravel(), minlength=256)
    of_masks = classes.in_masks_of(sample) if config.pred_values == "dataset" else classes
    prediction = of_masks.encode(mask, where=str(path))
    confusion = confusion_matrix(prediction, truth, len(classes), unsure=config.unsure)
    structure = {}
    if config.groups:
        skip = config.unsure == "skip"
        options: dict[str, Any] = {"window": config.window, "frame": config.frame, "transposed": config.transposed}
        structure = structure_scores(prediction, truth, len(classes), config.groups, skip_unsure=skip, **options)
    return confusion.tolist(), [int(values[value]) for value in sorted(classes.other)], structure


def _check_values(ctx: Context[ScoreConfig], folder: Path, others: Any, *, predicted: int) -> None:
    """Masks of another numbering (1, 2, 3 … for VOC's 8, 10, 12 …) would score near 0 without a word.

    Args:
        others: pixels per value of the classes left out, in ascending order of the values.
        predicted: pixels that have a foreground class, counted where there is ground truth.
    """
    classes = ctx.data.classes
    found = [value for value, pixels in zip(sorted(classes.other), others, strict=True) if pixels]
    if not found:
        return
    of_classes = {name: values[0] for name, values in zip(classes.foreground, classes.values[1:], strict=True)}
    allowed = listing([f"{name} {value}" for name, value in of_classes.items()], limit=30)
    message = (
        f"{folder}: the masks have the values {listing(found)}, which stand for classes left out of data.classes; "
        f"the values of the chosen ones are {allowed}."
    )
    if not predicted:
        raise InvalidInput(
            f"{message} No pixel has one of those: the masks seem to be numbered in another way.",
            mend="Say which value means which class, for example --data.classes '{cat: 1, dog: 2}', if the ground "
            "truth is numbered like that; else renumber the masks.",
        )
    ctx.log(f"warning: {message} They count as {'background' if classes.other_as == 0 else 'unsure'}.")


def _check_unsure(samples: tuple[Sample, ...], folder: Path, *, predicted: int, config: ScoreConfig) -> None:
    """Masks in the values of a dataset that gives 255 to a class would score as if they were unsure everywhere."""
    from wsss.io.masks import IGNORE, read_mask

    own = next((sample.mask_values for sample in samples if sample.mask_values is not None), None)
    if predicted or config.pred_values == "dataset" or own is None or not any(IGNORE in values for values in own):
        return
    if any((read_mask(folder / f"{sample.id}.png") == IGNORE).any() for sample in samples):
        raise InvalidInput(
            f"{folder}: the masks hold no class but the background, and 255. In masks of ours 255 means unsure; in "
            "this dataset's own it means a class.",
            mend="If it does so here, say --pred-values dataset (pred_values: dataset in a pipeline).",
        )


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
    if config.topomortar and len(data.classes) != 2:
        raise InvalidInput(
            f"score: topomortar: true is for one foreground class; this dataset has "
            f"{listing(data.classes.foreground)}.",
            mend="Choose one class (data.classes), or ask for structure: alone, which has a row per class.",
        )
    without = [sample.id for sample in samples if sample.mask is None]
    if without:
        raise InvalidInput(
            f"score: {len(without)} of the {len(samples)} images of split {config.split!r} have no ground-truth mask "
            f"({listing(without)}).",
            mend="Score a split that has masks, or leave the score stage out.",
        )


STAGE = Stage(
    name="score",
    version=3,
    config=ScoreConfig,
    run=run,
    provides="scores",
    help="Score masks against the ground truth (mIoU and more).",
    inputs={"pred": Input(("masks",), "folder of masks: of a stage, or any folder with ID.png")},
    reads=lambda config: [Read(config.split, "masks")],
    needs_splits=lambda config: (config.split,),
    check=_check,
)
