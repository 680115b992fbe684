"""Score masks against the ground truth: mIoU, per-class IoU, precision, recall, pixel accuracy, topology."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from wsss.benchmark.result_files import write_scores
from wsss.benchmark.topomortar_columns import FILE, GROUPS, WINDOW, topomortar_columns
from wsss.data.mask_values import MaskNames
from wsss.data.masks.encodings import check_encoding
from wsss.data.masks.ground_truth import log_remarks
from wsss.errors import InvalidInput, listing
from wsss.io.confusions import CONFUSIONS, add_cells, write_confusions
from wsss.io.files.atomic import write_pieces, write_text
from wsss.io.files.stage_files import PER_IMAGE, STRUCTURE
from wsss.io.rasters.label_masks import IGNORE
from wsss.io.text.tables import csv_line, csv_text
from wsss.metrics.structure import COLUMNS, Group, summarise, table_rows
from wsss.pipeline.run.items import map_shared
from wsss.pipeline.stage import Artifact, Context, Input, Read, Result, Stage, StageConfig
from wsss.stages.common.footprint import image_bytes
from wsss.stages.common.input_masks.mask_inputs import ANY_FOLDER, MaskSummary, with_masks
from wsss.stages.common.require_inputs import require_truth
from wsss.stages.common.scores.score_image import Counted, Pair, count, name_values

if TYPE_CHECKING:
    from wsss.data.classes import Classes
    from wsss.data.sample import Sample

BYTES_PER_PIXEL, STRUCTURE_BYTES_PER_PIXEL = 30, 80


class ScoreConfig(StageConfig):
    """Config of `score`."""

    split: str = Field("val", description="split to score on")
    uncertain: Literal["miss", "skip", "background"] = Field(
        "miss",
        description="treatment of uncertain pixels (255) in predicted masks: count as wrong (miss), ignore (skip), "
        "or count as background",
    )
    pred_values: Literal["wsss", "dataset"] = Field(
        "wsss",
        description="encoding of the predicted masks: wsss (as written by wsss, 255 = uncertain), or dataset (as in "
        "the dataset's masks; TopoMortar: 255 = mortar)",
    )
    pred_mask_values: MaskNames = Field(
        None,
        description="other values of the predicted masks: value → class name, background or ignore, for example "
        "{0: background, 255: cat}",
    )
    structure: tuple[Group, ...] = Field((), description="topology and surface metrics to compute per image and class")
    topomortar: bool = Field(
        False,
        description=f"also write {FILE}, one row per image, with the column names of the TopoMortar paper's results",
    )
    window: int = Field(128, ge=1, description="side of the windows of local_betti in pixels")
    frame: Literal["own-max", "none"] = Field(
        "own-max", description="frame around each mask for betti_matching; own-max: as in the paper"
    )
    transposed: bool = Field(
        False, description="compute cldice from skeletons of the transposed masks, as the TopoMortar paper's code does"
    )

    @model_validator(mode="after")
    def _window_of_the_paper(self) -> ScoreConfig:
        if self.topomortar and self.window != WINDOW:
            raise ValueError(f"topomortar: true requires window: {WINDOW}, as in the paper")
        return self

    @model_validator(mode="after")
    def _one_meaning_of_values(self) -> ScoreConfig:
        if self.pred_mask_values is not None and self.pred_values != "wsss":
            raise ValueError("expected either pred_mask_values or pred_values, got both")
        return self

    @model_validator(mode="after")
    def _transposed_for_cldice(self) -> ScoreConfig:
        if self.transposed and "cldice" not in self.groups:
            raise ValueError("transposed affects cldice only; add cldice to structure, or omit transposed")
        return self

    @model_validator(mode="after")
    def _settings_of_computed_groups(self) -> ScoreConfig:
        for name, group in (("window", "local_betti"), ("frame", "betti_matching")):
            if name in self.model_fields_set and group not in self.groups:
                raise ValueError(f"{name} affects {group} only; add {group} to structure, or omit {name}")
        return self

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups of structure scores to compute, in the order of `wsss.metrics.structure.COLUMNS`."""
        requested = {*self.structure, *(GROUPS if self.topomortar else ())}
        return tuple(group for group in COLUMNS if group in requested)


def run(ctx: Context[ScoreConfig]) -> Result:
    """Sum the confusion matrices of the split, and compute all scores from the total."""
    from wsss.metrics.overlap import overlap_scores

    config, pred, classes = ctx.config, ctx.inputs["pred"], ctx.data.classes
    samples = ctx.data.split(config.split)
    pairs = _pairs(ctx, pred)
    counted = _count_images(ctx, pairs)
    seen = zip(samples, (image.truth for image in counted), strict=True)
    check_encoding(seen, classes, where=f"score: split {config.split!r}")
    total = np.zeros((len(classes), len(classes) + 1), np.int64)
    for image in counted:
        add_cells(total, image.cells)
    others = np.sum([image.others for image in counted], axis=0)
    folder = pairs[0].pred.parent
    _check_uncertain(ctx, pred, folder, [image.summary for image in counted])
    _check_values(ctx, folder, others, predicted=int(total[:, 1:-1].sum()))
    if ctx.ranks.rank == 0:
        _write_images(ctx, samples, counted)
    carried: Mapping[str, Any] = pred.provenance
    return Result(
        {
            **overlap_scores(total, classes.names),
            "images": len(samples),
            "split": config.split,
            "uncertain_counted_as": config.uncertain,
            "other_class_pixels": int(others.sum()),
            "threshold_policy": carried.get("threshold_policy"),
            **_structure(ctx, samples, [image.structure for image in counted]),
            "provenance": dict(carried),
        }
    )


def _count_images(ctx: Context[ScoreConfig], pairs: Sequence[Pair]) -> list[Counted]:
    per_pixel = BYTES_PER_PIXEL + (STRUCTURE_BYTES_PER_PIXEL if ctx.config.groups else 0)
    work = partial(count, classes=ctx.data.classes, config=ctx.config)
    return map_shared(ctx, pairs, work, "scoring", memory=lambda pair: image_bytes(pair.sample, per_pixel=per_pixel))


def _write_images(ctx: Context[ScoreConfig], samples: Sequence[Sample], counted: Sequence[Counted]) -> None:
    """Log remarks on the masks, and write the counts and scores of every image."""
    classes = ctx.data.classes
    log_remarks(ctx.log, [remark for image in counted for remark in image.summary.remarks])
    named = [(sample.id, image.cells) for sample, image in zip(samples, counted, strict=True)]
    write_pieces(ctx.out / PER_IMAGE, map(csv_line, _rows(named, classes)))
    write_confusions(ctx.out / CONFUSIONS, classes.names, named)


def _structure(
    ctx: Context[ScoreConfig], samples: tuple[Sample, ...], per_image: list[dict[int, list[float]]]
) -> dict[str, Any]:
    """Write a row per image and class, and return the means; empty if no group is computed."""
    config, names = ctx.config, ctx.data.classes.names
    if not config.groups:
        return {}
    if ctx.ranks.rank == 0:
        ids = [sample.id for sample in samples]
        write_text(ctx.out / STRUCTURE, csv_text(table_rows(ids, per_image, names, config.groups)))
        if config.topomortar:
            write_scores(ctx.out / FILE, ids, topomortar_columns(per_image, config.groups))
    settings: dict[str, Any] = {"window": config.window, "frame": config.frame}
    if config.transposed:
        settings["transposed"] = True
    return {"structure": {**settings, **summarise(per_image, names, config.groups)}}


def _pairs(ctx: Context[ScoreConfig], pred: Artifact) -> list[Pair]:
    """Return the images of the split with their predicted masks."""
    split = ctx.config.split
    samples = ctx.data.split(split)
    hint = "Predict this split first, or score another one (--split)."
    masked = with_masks(pred.path, samples, ctx.data, of=f"split {split!r}", hint=hint, log=ctx.log)
    return [Pair(sample, mask.mask) for sample, mask in zip(samples, masked, strict=True) if mask.mask is not None]


def _check_values(ctx: Context[ScoreConfig], folder: Path, others: Any, *, predicted: int) -> None:
    """Reject masks with other class values (1, 2, 3 … for VOC's 8, 10, 12 …), which would score near 0.

    Args:
        others: pixels per value of the classes left out, values ascending.
        predicted: pixels with a predicted foreground class, where there is ground truth.
    """
    classes = ctx.data.classes
    left_out = [value for value, pixels in zip(sorted(classes.other), others, strict=True) if pixels]
    if not left_out:
        return
    pairs = [f"{name} {values[0]}" for name, values in zip(classes.foreground, classes.values[1:], strict=True)]
    problem = (
        f"the masks have the values {listing(left_out)} of classes left out of data.classes; "
        f"the chosen classes have the values {listing(pairs, limit=30)}."
    )
    if not predicted:
        raise InvalidInput(
            f"{problem} No pixel has one of these: the masks seem to have other class values.",
            subject=folder,
            hint="If the ground truth has the same values, assign them to classes, for example --data.classes "
            "'{cat: 1, dog: 2}'; otherwise renumber the masks.",
        )
    counted_as = "background" if classes.other_as == 0 else "uncertain"
    ctx.log(f"warning: {folder}: {problem} Left-out classes count as {counted_as}.")


def _check_uncertain(ctx: Context[ScoreConfig], pred: Artifact, folder: Path, summaries: Sequence[MaskSummary]) -> None:
    """Reject external masks with the values 0 and 255 only, which would be scored as uncertain; warn of a stage's."""
    uncertain = sum(summary.ignored for summary in summaries)
    if not uncertain or any(summary.shows_class for summary in summaries):
        return
    problem = f"no mask has a foreground class, and {uncertain} of {len(summaries)} masks contain 255 (uncertain)"
    if pred.uses is not None:
        ctx.log(f"warning: {folder}: {problem}.")
        return
    values = [sample.mask_values for sample in ctx.data.split(ctx.config.split)]
    of_dataset = any(
        IGNORE in of_class for mapping in values if mapping is not None for of_class in mapping.classes[1:]
    )
    if of_dataset and ctx.config.pred_values == "wsss":
        hint = "If the masks have the values of the dataset: --pred-values dataset (pred_values in a pipeline)."
    else:
        hint = f"If 255 means a class: {name_values(ctx.data.classes)}"
    raise InvalidInput(problem, subject=folder, hint=hint)


def _rows(images: Iterable[tuple[str, Any]], classes: Classes) -> Iterator[list[str]]:
    """Yield the header and the rows of a table with one row per image: the scores over its classes."""
    keys = ("miou", "precision", "recall", "pixel_accuracy", "uncertain_fraction")
    yield ["image_id", *keys, *(f"iou_{name}" for name in classes.names)]
    for image_id, cells in images:
        scores = _scores_of_image(cells, classes)
        row = [*(scores[key] for key in keys), *(scores["iou"].get(name) for name in classes.names)]
        yield [image_id, *("" if value is None else f"{value:.6f}" for value in row)]


def _scores_of_image(cells: Any, classes: Classes) -> dict[str, Any]:
    """Return `overlap_scores` over the classes that occur in an image; the others are undefined."""
    from wsss.metrics.overlap import overlap_scores

    present = np.unique(cells[:, :2])
    present = present[present < len(classes)]
    confusion = np.zeros((len(present), len(present) + 1), np.int64)
    indices = np.searchsorted(present, cells[:, :2])  # the column of uncertain pixels follows those of the classes
    confusion[indices[:, 0], indices[:, 1]] = cells[:, 2]
    return overlap_scores(confusion, [classes.names[index] for index in present])


def _check(config: ScoreConfig, data: Any) -> None:
    if config.topomortar and len(data.classes) != 2:
        raise InvalidInput(
            "topomortar: true requires one foreground class",
            subject="score",
            found=data.classes.foreground,
            hint="Select one class (data.classes), or omit topomortar and set structure, which has a row per class.",
        )
    hint = (
        "Score a split whose images all have masks, or omit the score stage. In a project of wsss init, such a split "
        "is a list of images splits/NAME.txt, with NAME in data.splits."
    )
    require_truth(data, (config.split,), where="score", hint=hint)


STAGE = Stage(
    name="score",
    version=3,
    config=ScoreConfig,
    run=run,
    provides="scores",
    inputs={"pred": Input(("masks",), f"folder of a stage that writes masks, or {ANY_FOLDER}")},
    reads=lambda config: [Read(config.split, "masks")],
    needs_splits=lambda config: (config.split,),
    check=_check,
)
