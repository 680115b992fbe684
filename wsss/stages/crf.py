"""Dense CRF on masks, which aligns their borders with the edges of the image.

With the maps that pseudo masks come from, the CRF runs once with the upper and once with the lower background score of
their policy; pixels on which the results disagree stay uncertain (as in IRN). Without maps it refines the masks
themselves and labels uncertain pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from wsss.errors import InvalidInput
from wsss.io.files.stage_files import probability_path
from wsss.pipeline.config.resources import find, names, shipped
from wsss.pipeline.config.source import read_yaml
from wsss.pipeline.stage import Artifact, Context, Input, Result, Stage, StageConfig
from wsss.refine.cleaning import CleaningConfig
from wsss.refine.dense_crf import CrfConfig
from wsss.refine.policyfile import read_policy
from wsss.stages.common.corrected_masks import CorrectionsFolder, check_corrections, inspect_corrections, stated_by_maps
from wsss.stages.common.crf_image import refine_image
from wsss.stages.common.footprint import image_bytes
from wsss.stages.common.image_size_notes import note_reduced, reduced_ids
from wsss.stages.common.input_masks.mask_inputs import count_empty, survey
from wsss.stages.common.inspect_inputs import inspect_maps, inspect_masks, inspect_probabilities
from wsss.stages.common.mask_stages import (
    MASKS,
    REFINES_MASKS,
    masked,
    read_changes,
    require_foreground,
    stated_refinement,
    write_masks,
)
from wsss.stages.common.require_inputs import require_maps
from wsss.validation import OptionName, refuse_unused

if TYPE_CHECKING:
    from wsss.data.sample import Sample


REDUCED = "reduced.json"
"""Lists the images that were downscaled for the CRF; written only if there are any."""

USUAL_LABELS = 4
"""Number of classes per image, including background, assumed in memory estimates."""


class CrfStageConfig(CrfConfig, StageConfig):
    """Config of `crf`: the parameters of the CRF, and the masks to refine."""

    splits: tuple[str, ...] = Field(("train",), description="splits whose masks are refined")
    clean: CleaningConfig = Field(
        CleaningConfig(), description="remove small components and fill small holes afterwards; off by default"
    )
    corrections: CorrectionsFolder = None
    name: Annotated[str, OptionName("crf-name")] = Field(
        "custom", description="name of these CRF settings in the provenance of scores; set by presets"
    )

    @model_validator(mode="after")
    def _probability_of_labels(self) -> CrfStageConfig:
        if self.unary != "labels":
            refuse_unused(self, "label_probability", requires="unary: labels", got=self.unary)
        return self


def run(ctx: Context[CrfStageConfig]) -> Result:
    """Refine every image's mask."""
    from wsss.io.files.atomic import write_json

    config = ctx.config
    samples = masked(ctx, ctx.log)
    if ctx.inputs["masks"].uses is None and _refines_masks(config, ctx.inputs["cams"]) and ctx.ranks.rank == 0:
        survey(ctx, samples)
    _refine_all(ctx, samples)
    parts = read_changes(ctx, samples)
    sizes = [(sample.id, part.size) for sample, part in zip(samples, parts, strict=True)]
    reduced = note_reduced(ctx, sizes, config.max_side, how="labels follow the edges of the full-size image")
    if reduced and ctx.ranks.rank == 0:
        write_json(ctx.out / REDUCED, {"max_side": config.max_side, "images": reduced_ids(sizes, config.max_side)})
    earlier = ctx.inputs["masks"].provenance.get("crf")
    stated_crf = stated_preset(config)
    counted, stated = stated_refinement(ctx, samples)
    return Result(
        {
            "images": len(samples),
            "empty_masks": count_empty(ctx, samples, [part.shows_class for part in parts]),
            "changed_fraction": sum(part.changed for part in parts) / len(parts),
            "uncertain_fraction": sum(part.uncertain for part in parts) / len(parts),
            "crf": stated_crf,
            **reduced,
            **counted,
        },
        {
            "crf": f"{earlier}, then {stated_crf}" if earlier else stated_crf,
            **config.clean.provenance,
            **({"crf_reduced": reduced["reduced"]} if reduced else {}),
            **stated_by_maps(ctx.inputs["masks"], ctx.inputs["cams"]),
            **stated,
        },
    )


def stated_preset(config: CrfStageConfig) -> str:
    """Return the name of the preset, followed by the settings that differ from the shipped preset of this name."""
    name, folder = f"crf/{config.name}", shipped("configs")
    path = find(name, [folder]) if name in names(folder) else None
    if path is None:
        return config.name
    preset = CrfConfig.model_validate({key: value for key, value in read_yaml(path).value.items() if key != "name"})
    changed = [f"{key} {getattr(config, key)}" for key, value in preset if getattr(config, key) != value]
    return f"{config.name} with {', '.join(changed)}" if changed else config.name


def _refine_all(ctx: Context[CrfStageConfig], samples: Sequence[Sample]) -> None:
    """Refine the masks that an interrupted run has not finished."""
    config, classes, cams = ctx.config, ctx.data.classes, ctx.inputs["cams"]
    masks, maps = ctx.inputs["masks"].path, cams.path if cams else None
    work = partial(
        refine_image, out=ctx.out, masks=masks, cams=maps, config=config, cleaning=config.clean, classes=classes
    )
    every_class = config.unary == "softmax" and cams is None  # else only the classes of the image
    memory = partial(_bytes, labels=len(classes) if every_class else min(len(classes), USUAL_LABELS), config=config)
    write_masks(ctx, samples, work, "dense CRF", memory=memory, threads=config.engine == "lattice")
    if config.engine == "lattice":
        from wsss.refine.lattice.filtering import forget_position_filters

        forget_position_filters()


def _bytes(sample: Sample, *, labels: int, config: CrfStageConfig) -> int:
    """Return the estimated memory for an image: an upper bound, since the lattice of noise is the largest."""
    pixels = image_bytes(sample, per_pixel=1)
    working = pixels if config.max_side is None else min(pixels, config.max_side**2)
    return 20 * pixels + (440 + 40 * labels) * working


def _refines_masks(config: CrfStageConfig, cams: Artifact | None) -> bool:
    """Return whether the masks themselves are refined, not class scores."""
    return cams is None and config.unary != "softmax"


def _check_unary(config: CrfStageConfig, masks: Path, cams: Artifact | None, samples: tuple[Sample, ...]) -> None:
    if config.unary == "softmax" and cams is None and not probability_path(masks, samples[0].id).is_file():
        raise InvalidInput(
            "softmax requires class scores: maps (a cam stage in its needs, or --cams DIR), or masks of a predict "
            f"stage with save_probabilities; {masks} has neither",
            subject="crf.unary",
            hint="Use unary: labels to refine masks without scores.",
        )


def _ready(ctx: Context[CrfStageConfig]) -> None:
    masks, cams = ctx.inputs["masks"].path, ctx.inputs["cams"]
    _check_unary(ctx.config, masks, cams, ctx.data.samples(ctx.config.splits))
    samples = masked(ctx)
    if _refines_masks(ctx.config, cams):
        require_foreground(ctx, samples, purpose="to refine")
    if cams is not None:
        read_policy(masks)
        require_maps(cams.path, samples)
    inspect_corrections(ctx.config.corrections, ctx.data, ctx.config.splits)


def _inspect(ctx: Context[CrfStageConfig]) -> None:
    config, cams = ctx.config, ctx.inputs["cams"]
    samples = ctx.data.samples(config.splits)
    if cams is not None:
        inspect_maps(ctx, samples, cams.path)
    elif config.unary == "softmax":
        inspect_probabilities(ctx, samples, ctx.inputs["masks"].path)
    else:
        inspect_masks(ctx, masked(ctx))


STAGE = Stage(
    name="crf",
    version=4,
    config=CrfStageConfig,
    run=run,
    inputs={
        "masks": MASKS,
        "cams": Input(("cams",), "folder of the stage whose maps the pseudo masks were computed from", optional=True),
    },
    check=lambda config, data: check_corrections(config.corrections, data),
    ready=_ready,
    inspect=_inspect,
    **REFINES_MASKS,
)
