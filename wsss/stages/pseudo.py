"""Pseudo masks from class activation maps, by a threshold policy that uses no pixel labels."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from wsss.data.artifacts import read_indices, read_maps
from wsss.data.corrections.corrected_pixels import overridden
from wsss.io.files.stage_files import mask_path
from wsss.io.rasters.label_masks import IGNORE, write_mask
from wsss.pipeline.run.items import map_shared
from wsss.pipeline.stage import Context, Input, Kind, Read, Result, Stage, StageConfig, reads_of
from wsss.refine.cleaning import CleaningConfig, clean
from wsss.refine.policyfile import write_policy
from wsss.refine.thresholds import Adaptive, Fixed, Policy, adaptive_threshold, mask_from_cams, threshold_histogram
from wsss.stages.common.corrected_masks import (
    CorrectionsFolder,
    check_corrections,
    images_of,
    inspect_corrections,
    stated_corrections,
)
from wsss.stages.common.footprint import image_bytes
from wsss.stages.common.input_masks.mask_inputs import count_empty, supervision_of
from wsss.stages.common.inspect_inputs import inspect_maps
from wsss.stages.common.mask_stages import write_masks
from wsss.stages.common.require_inputs import require_maps, require_truth
from wsss.stages.common.scores.threshold_counts import count_levels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.data.classes import Classes
    from wsss.data.corrections.correction_folder import Corrections
    from wsss.data.sample import Sample

BYTES_PER_PIXEL = 30


class PseudoConfig(StageConfig):
    """Config of `pseudo`."""

    splits: tuple[str, ...] = Field(("train",), description="splits to create masks for")
    policy: Policy = Field(Adaptive(name="otsu"), description="threshold policy for the background")
    clean: CleaningConfig = Field(
        CleaningConfig(), description="remove small components and fill small holes afterwards; off by default"
    )
    corrections: CorrectionsFolder = None
    oracle: bool = Field(
        False,
        description="replace the policy by the fixed threshold with the best mIoU on the ground-truth masks; "
        "all scores derived from it are marked ORACLE",
    )


def run(ctx: Context[PseudoConfig]) -> Result:
    """Determine thresholds (over the dataset, or by the oracle's sweep), then label every image."""
    config, cams = ctx.config, ctx.inputs["cams"].path
    samples = ctx.data.samples(config.splits)
    policy, thresholds, metrics = _policy(ctx, samples)
    if ctx.ranks.rank == 0:
        write_policy(ctx.out, policy, thresholds)
    work = partial(
        _label,
        folder=cams,
        out=ctx.out,
        policy=policy,
        thresholds=thresholds,
        classes=ctx.data.classes,
        cleaning=config.clean,
    )
    write_masks(ctx, samples, work, "pseudo masks", memory=partial(image_bytes, per_pixel=BYTES_PER_PIXEL))
    fractions = map_shared(ctx, samples, partial(_fractions, out=ctx.out, classes=ctx.data.classes), "reading back")
    metrics["empty_masks"] = count_empty(ctx, samples, [foreground > 0 for foreground, _ in fractions])
    metrics["foreground_fraction"] = sum(foreground for foreground, _ in fractions) / len(fractions)
    metrics["uncertain_fraction"] = sum(uncertain for _, uncertain in fractions) / len(fractions)
    stamp = f"ORACLE {policy.summary} (best on the ground-truth masks)" if config.oracle else policy.summary
    upstream = supervision_of(ctx.inputs["cams"])
    counted, stated = stated_corrections(ctx, samples, images_of(config.splits), upstream)
    return Result(
        {"images": len(samples), "threshold_policy": stamp, **metrics, **counted},
        {"threshold_policy": stamp, **config.clean.provenance, **stated},
    )


def _policy(
    ctx: Context[PseudoConfig], samples: tuple[Sample, ...]
) -> tuple[Policy, dict[int, float] | None, dict[str, Any]]:
    """Return the policy to apply, its thresholds if they are of the whole dataset, and metrics on both."""
    config = ctx.config
    if config.oracle:
        policy, scores = _sweep(ctx, samples)
        return policy, None, {"oracle_sweep": scores}
    if not isinstance(config.policy, Adaptive) or config.policy.scope != "dataset":
        return config.policy, None, {}
    thresholds = _dataset_thresholds(ctx, config.policy, samples)
    names = ctx.data.classes.names
    return config.policy, thresholds, {"thresholds": {names[index]: thresholds[index] for index in sorted(thresholds)}}


def _label(
    sample: Sample,
    *,
    folder: Path,
    out: Path,
    policy: Policy,
    thresholds: dict[int, float] | None,
    classes: Classes,
    cleaning: CleaningConfig,
    corrections: Corrections | None,
) -> None:
    mask = mask_from_cams(policy, read_maps(folder, sample, classes), thresholds)
    mask = clean(mask, cleaning)
    if corrections is not None:
        mask = overridden(mask, corrections.read(sample.id, (mask.shape[0], mask.shape[1])))
    write_mask(mask_path(out, sample.id), classes.decode(mask))


def _fractions(sample: Sample, *, out: Path, classes: Classes) -> tuple[float, float]:
    mask = read_indices(out, sample.id, classes)
    return float(((mask > 0) & (mask != IGNORE)).mean()), float((mask == IGNORE).mean())


def _dataset_thresholds(ctx: Context[PseudoConfig], policy: Adaptive, samples: tuple[Sample, ...]) -> dict[int, float]:
    """Return class index → threshold over all maps of the class."""
    work = partial(_histograms, folder=ctx.inputs["cams"].path, classes=ctx.data.classes)
    per_image = map_shared(ctx, samples, work, "thresholds")
    total: dict[int, Any] = Counter()
    for histograms in per_image:
        for index, histogram in histograms.items():
            total[index] = total[index] + histogram.astype(np.int64)
    return {index: adaptive_threshold(policy, histogram) for index, histogram in total.items()}


def _histograms(sample: Sample, *, folder: Path, classes: Classes) -> dict[int, NDArray[np.uint32]]:
    """Return class index → histogram of the map; those of all images are in memory together."""
    cams = read_maps(folder, sample, classes)
    return {
        index: threshold_histogram(class_map).astype(np.uint32)
        for index, class_map in zip(cams.classes, cams.maps, strict=True)
    }


def _sweep(ctx: Context[PseudoConfig], samples: tuple[Sample, ...]) -> tuple[Fixed, list[dict[str, float]]]:
    """Score the fixed thresholds 0.02 … 0.98 against the ground truth; return the best policy and all scores."""
    from wsss.metrics.overlap import overlap_scores
    from wsss.metrics.threshold_curve import level_confusions

    levels = tuple(round(0.02 * step, 2) for step in range(1, 50))
    total = np.zeros((len(ctx.data.classes), len(ctx.data.classes), len(levels) + 1), np.int64)
    for counts in count_levels(ctx, samples, levels):
        counts.add_to(total)
    scores = [overlap_scores(confusion, ctx.data.classes.names) for confusion in level_confusions(total)]
    keep = ("miou", "precision", "recall")
    table = [
        {"threshold": level, **{key: score[key] for key in keep}} for level, score in zip(levels, scores, strict=True)
    ]
    best = max(table, key=lambda row: row["miou"])["threshold"]
    return Fixed(name="fixed", foreground=best, background=best), table


def _reads(config: PseudoConfig) -> list[Read]:
    """Return masks only for the oracle; the fingerprint of the labels covers ids and class values."""
    kinds: tuple[Kind, ...] = ("labels", "masks") if config.oracle else ("labels",)
    return reads_of(config.splits, *kinds)


def _check(config: PseudoConfig, data: Any) -> None:
    check_corrections(config.corrections, data)
    if config.oracle:
        hint = "Omit --oracle: the other policies need no masks."
        require_truth(data, config.splits, where="pseudo.oracle", hint=hint)


def _ready(ctx: Context[PseudoConfig]) -> None:
    samples = ctx.data.samples(ctx.config.splits)
    require_maps(ctx.inputs["cams"].path, samples)
    inspect_corrections(ctx.config.corrections, ctx.data, ctx.config.splits)


STAGE = Stage(
    name="pseudo",
    version=3,
    config=PseudoConfig,
    run=run,
    provides="masks",
    resumes=True,
    inputs={"cams": Input(("cams",), "folder of a cam stage, or of another stage that writes maps")},
    reads=_reads,
    covers=lambda config: config.splits,
    needs_splits=lambda config: config.splits,
    check=_check,
    prepare=lambda config, data: inspect_corrections(config.corrections, data, config.splits),
    ready=_ready,
    inspect=lambda ctx: inspect_maps(ctx, ctx.data.samples(ctx.config.splits), ctx.inputs["cams"].path),
)
