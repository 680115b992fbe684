"""Dense CRF on masks: each image's labelling is pulled to the image's own edges.

Given the maps behind pseudo masks, the CRF runs once with the upper and once with the lower background score of their
policy, and pixels on which the two results disagree stay uncertain (as IRN makes its seeds). Given masks alone, it
refines those, and fills uncertain pixels in.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, TypeAdapter

from wsss.errors import InvalidInput
from wsss.io.layout import cam_path, mask_path, probability_path
from wsss.io.recorded import check_recorded
from wsss.pipeline.stage import Artifact, Context, Input, Read, Result, Stage, StageConfig
from wsss.refine.cleaning import CleaningConfig
from wsss.refine.crf import CrfConfig
from wsss.refine.thresholds import Policy
from wsss.stages.present import MAKE_MAPS, MAKE_MASKS, require_each
from wsss.stages.pseudo import POLICY_FILE
from wsss.validation import AddedLater

if TYPE_CHECKING:
    from wsss.data.sample import Classes, Sample


class CrfStageConfig(CrfConfig, StageConfig):
    """Config of `crf`: the parameters of the CRF, and what to refine."""

    splits: tuple[str, ...] = Field(("train",), description="splits whose masks are refined")
    clean: Annotated[CleaningConfig, AddedLater()] = Field(
        CleaningConfig(), description="afterwards, drop small components and holes of the masks; by default nothing"
    )
    name: str = Field("custom", description="how scores call this setting; the presets set their own name")


def run(ctx: Context[CrfStageConfig]) -> Result:
    """Refine every image's mask."""
    from wsss.io.masks import read_mask
    from wsss.pipeline.items import map_items, pending

    config, masks, cams = ctx.config, ctx.inputs["masks"].path, ctx.inputs["cams"]
    samples = ctx.data.samples(config.splits)
    work = partial(
        _refine,
        out=ctx.out,
        masks=masks,
        cams=cams.path if cams else None,
        config=config,
        classes=ctx.data.classes,
    )
    todo = pending(ctx, samples, output=lambda sample: mask_path(ctx.out, sample.id), readable=read_mask)
    map_items(ctx, todo, work, "dense CRF")
    ctx.ranks.barrier()
    compare = partial(_changed, before=masks, after=ctx.out, classes=ctx.data.classes)
    parts = map_items(ctx, samples, compare, "reading back")
    changed, unsure = (sum(column) / len(parts) for column in zip(*parts, strict=True))
    return Result(
        {"images": len(samples), "changed_fraction": changed, "uncertain_fraction": unsure, "crf": config.name},
        {"crf": _after(ctx.inputs["masks"].provenance.get("crf"), config.name), **config.clean.provenance},
    )


def _after(before: Any, name: str) -> str:
    """Name all CRFs that had a part: when this one refines a network, also that of the masks it learned from."""
    return f"{before}, then {name}" if before else name


def _refine(
    sample: Sample, *, out: Path, masks: Path, cams: Path | None, config: CrfStageConfig, classes: Classes
) -> None:
    from wsss.io.images import read_image
    from wsss.io.masks import read_mask, write_mask
    from wsss.refine.cleaning import clean

    image = read_image(sample.image)
    if cams is not None:
        refined = _refine_seeds(image, sample, masks, cams, config)
    elif config.unary == "softmax":
        refined = _refine_probabilities(image, probability_path(masks, sample.id), config)
    else:
        path = mask_path(masks, sample.id)
        mask = classes.encode(read_mask(path, size=image.shape[:2]), where=str(path))
        refined = _refine_mask(image, mask, config)
    write_mask(mask_path(out, sample.id), classes.decode(clean(refined, config.clean)))


def _refine_seeds(image: Any, sample: Sample, masks: Path, cams: Path, config: CrfStageConfig) -> Any:
    """Refine with the upper and the lower background, and merge."""
    import numpy as np

    from wsss.io.cams import read_cams
    from wsss.refine.crf import refine_labels, refine_scores
    from wsss.refine.thresholds import make_seeds, merge

    policy, thresholds = _read_policy(masks)
    loaded = read_cams(cam_path(cams, sample.id))
    seeds = make_seeds(policy, loaded.full_size(), loaded.classes, thresholds)
    values = np.asarray((0, *seeds.classes), np.uint8)

    def labels(background: Any) -> Any:
        scores = np.concatenate([background[None], seeds.maps])
        if config.unary == "softmax":
            return values[refine_scores(image, scores, config)]
        return values[refine_labels(image, scores.argmax(0), len(values), config)]

    upper = labels(seeds.upper)
    return upper if seeds.certain else merge(upper, labels(seeds.lower))


def _refine_probabilities(image: Any, path: Path, config: CrfStageConfig) -> Any:
    import numpy as np

    from wsss.io.arrays import read_arrays
    from wsss.refine.crf import refine_scores

    probabilities = read_arrays(path)["probabilities"].astype(np.float32)
    return refine_scores(image, probabilities, config).astype(np.uint8)


def _refine_mask(image: Any, mask: Any, config: CrfStageConfig) -> Any:
    import numpy as np

    from wsss.io.masks import IGNORE
    from wsss.refine.crf import refine_labels

    # Only classes present take part, and the background always does.
    present = sorted({0, *np.unique(mask[mask != IGNORE]).tolist()})
    values = np.asarray(present, np.uint8)
    positions = np.full(256, len(present), np.intp)
    positions[values] = np.arange(len(present))
    return values[refine_labels(image, positions[mask], len(present), config, unsure=len(present))]


def _changed(sample: Sample, *, before: Path, after: Path, classes: Classes) -> tuple[float, float]:
    """Return which fraction of pixels changed, and which is uncertain afterwards."""
    from wsss.io.masks import IGNORE, read_mask

    new = read_mask(mask_path(after, sample.id))
    old = read_mask(mask_path(before, sample.id), size=new.shape)
    return float((new != old).mean()), float((new == IGNORE).mean())


def _read_policy(masks: Path) -> tuple[Any, dict[int, float] | None]:
    path = masks / POLICY_FILE
    if not path.is_file():
        raise InvalidInput(
            f"{masks}: no {POLICY_FILE}; with maps given, the masks must come from the pseudo stage.",
            mend="Leave --cams out to refine masks of any origin.",
        )
    check_recorded(path)
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        thresholds = stored["thresholds"]
        policy = TypeAdapter(Policy).validate_python(stored["policy"])
        return policy, thresholds and {int(index): value for index, value in thresholds.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{path}: not a background policy ({error}).", mend="Re-run the pseudo stage.") from error


def _check_unary(config: CrfStageConfig, masks: Path, cams: Artifact | None, samples: tuple[Sample, ...]) -> None:
    if config.unary == "softmax" and cams is None and not probability_path(masks, samples[0].id).is_file():
        raise InvalidInput(
            "crf.unary: softmax needs class scores: maps (a cam stage among its needs, or --cams), or masks of a "
            f"predict stage with save_probabilities; {masks} has neither.",
            mend="Use unary: labels to refine masks alone.",
        )


def _reads(config: CrfStageConfig) -> list[Read]:
    return [Read(split, "images") for split in config.splits]


def _ready(ctx: Context[CrfStageConfig]) -> None:
    masks, cams = ctx.inputs["masks"].path, ctx.inputs["cams"]
    samples = ctx.data.samples(ctx.config.splits)
    _check_unary(ctx.config, masks, cams, samples)
    require_each(masks, samples, mask_path, what="mask", mend=MAKE_MASKS)
    if cams is not None:
        _read_policy(masks)
        require_each(cams.path, samples, cam_path, what="maps", mend=MAKE_MAPS)


STAGE = Stage(
    name="crf",
    version=1,
    config=CrfStageConfig,
    run=run,
    provides="masks",
    help="Dense CRF: pull masks to the edges of the image.",
    inputs={
        "masks": Input(("masks",), "folder of a pseudo, crf or predict stage, or any folder with masks/ID.png"),
        "cams": Input(("cams",), "folder of the cam stage behind the pseudo masks", optional=True),
    },
    reads=_reads,
    covers=lambda config: config.splits,
    needs_splits=lambda config: config.splits,
    ready=_ready,
)
