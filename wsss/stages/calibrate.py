"""Reweight a network's background, so that masks of unlabelled images contain as much foreground as its training masks.

The result is a copy of the network, for `predict`, exports and `wsss.load_segmenter` (`background_weight` explains it).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from wsss.data.dataset import GROUND_TRUTH
from wsss.data.importers.training_recipe import RELIABLE
from wsss.errors import InvalidInput, listing
from wsss.io.rasters.working_size import MaxSide
from wsss.models.config import Scale
from wsss.pipeline.stage import Context, Input, Read, Result, Stage, StageConfig
from wsss.stages.common.image_size_notes import require_whole_images
from wsss.stages.common.inference.whole_images import NETWORK, chosen_images, load_network, predict_whole
from wsss.stages.common.input_masks.mask_inputs import ANY_FOLDER, supervision_of, with_masks
from wsss.stages.common.inspect_inputs import inspect_masks
from wsss.stages.common.require_inputs import MAKE_MASKS, require_truth
from wsss.validation import refuse_unused

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsss.data.dataset import Dataset
    from wsss.data.sample import Sample

FEWEST = 5
"""Minimum number of images for a mean foreground fraction."""

STRONG = 20
"""Weights beyond 1/`STRONG` to `STRONG` are logged as unusual: networks trained on pseudo masks need 0.3 to 3."""


class CalibrateConfig(StageConfig):
    """Config of `calibrate`."""

    splits: tuple[str, ...] = Field(
        default=("val",),
        min_length=1,
        description="splits with images that the network was not trained on; their labels are not read",
    )
    max_images: int = Field(default=200, ge=FEWEST, description="maximum number of images to predict, spaced evenly")
    mask_split: str = Field(default="train", description="split whose masks define the target foreground fraction")
    foreground: Annotated[float, Field(gt=0, lt=1)] | Literal["ground-truth"] | None = Field(
        default=None,
        description="target foreground fraction: a number, or ground-truth (from the dataset's masks, for full "
        "supervision); null: from the input masks",
    )
    scales: tuple[Scale, ...] = Field(default=(1.0,), min_length=1, description="scale factors of the image")
    flip: bool = Field(default=False, description="also use the mirrored image")
    max_side: MaxSide = None

    @model_validator(mode="after")
    def _split_of_masks(self) -> CalibrateConfig:
        if isinstance(self.foreground, float):
            refuse_unused(self, "mask_split", requires="foreground: null or ground-truth", got=self.foreground)
        if self.foreground == "ground-truth" and self.mask_split in self.splits:
            raise ValueError(
                f"splits: contains mask_split ({self.mask_split}), so the target would come from the masks of the "
                "images to predict; choose another mask_split"
            )
        return self


def run(ctx: Context[CalibrateConfig]) -> Result:
    """Measure foreground fractions, and save a copy of the network with the background weight in its last layer."""
    from wsss.models.segmentation_networks.background_weight import foreground_fraction, weight_background
    from wsss.models.segmentation_networks.segmenters import (
        load_background_weight,
        load_reading,
        load_segmenter,
        save_segmenter,
    )
    from wsss.stages.common.input_masks.mask_foreground import foreground_of_masks

    config, folder = ctx.config, ctx.inputs["segmenter"].path
    target = config.foreground if isinstance(config.foreground, float) else foreground_of_masks(ctx, _masked(ctx))
    samples = chosen_images(config, ctx.data)
    points = _predicted(ctx, samples)
    weight = _weight(points, target)
    before = [foreground_fraction(views, 1) for views in points]
    after = [foreground_fraction(views, weight) for views in points]
    fractions = {
        "target_foreground": target,
        "foreground_before": fmean(before),
        "foreground_after": fmean(after),
        "standard_error": stdev(before) / math.sqrt(len(before)),
    }
    recorded = ctx.inputs["segmenter"].provenance.get("calibrated", {}).get("background_weight")  # by version 2
    total = weight * (load_background_weight(folder) or recorded or 1.0)  # the input may be calibrated already
    if ctx.ranks.rank == 0:
        _log(ctx, weight, fractions, len(points))
        network, classes = load_segmenter(folder)
        weight_background(network, weight)
        save_segmenter(ctx.out, network, classes, load_reading(folder), background_weight=total)
    metrics = {"images": len(points), "background_weight": weight, **fractions}
    return Result(metrics, _provenance(ctx, total, target, len(points)))


def _log(ctx: Context[CalibrateConfig], weight: float, fractions: Mapping[str, float], images: int) -> None:
    """Log the weight, and reasons to distrust it."""
    before, after, error = (fractions[name] for name in ("foreground_before", "foreground_after", "standard_error"))
    found = f"foreground fraction {before:.3f} (standard error {error:.3f}) → {after:.3f} on {images} images"
    ctx.log(f"background × {weight:.3g}: {found}")
    if images < RELIABLE:
        ctx.log(f"note: {images} images are few for a mean foreground fraction; {RELIABLE} or more are reliable.")
    if abs(fractions["target_foreground"] - before) < error:
        ctx.log("note: the correction is smaller than the standard error, so it may be due to the choice of images.")
    if not 1 / STRONG <= weight <= STRONG:
        ctx.log("note: this is an unusual weight: was the network trained on these masks, and are the images similar?")


def _provenance(ctx: Context[CalibrateConfig], total: float, target: float, images: int) -> dict[str, Any]:
    """Return the provenance; if the supervision of masks and network differs, the fraction is supervision, too.

    The true fraction is an oracle for a network that was not trained on true masks.

    Args:
        total: the background weight of this and of earlier calibrations.
        target: the target fraction of ``images`` images.
    """
    config, masks, earlier = ctx.config, ctx.inputs["masks"], ctx.inputs["segmenter"].provenance
    trained = earlier.get("supervision")
    stated: dict[str, Any] = {"background_weight": round(total, 4), "target_share": round(target, 4)}
    stated |= {"images": images, "splits": list(config.splits)}
    if isinstance(config.foreground, float):
        return {"calibrated": stated | {"share_of": "a setting"}}
    of_dataset = config.foreground == "ground-truth"
    by = ctx.data.mask_supervision(config.mask_split) if of_dataset else supervision_of(masks)
    stated |= {
        "share_of": masks.id or "other masks" if config.foreground is None else by,
        "mask_split": config.mask_split,
    }
    if by == trained:
        return {"calibrated": stated}
    if by == GROUND_TRUTH:
        stated["share_of"] = f"ORACLE: {by}"
    own = "labels of unstated origin" if trained is None else trained
    added = "the true share of object pixels" if by == GROUND_TRUTH else f"the share of object pixels of {by}"
    return {"calibrated": stated, "supervision": f"{own} and {added}"}


def _predicted(ctx: Context[CalibrateConfig], samples: Sequence[Sample]) -> list[NDArray[np.float32]]:
    """Return the `sampled_probabilities` of images, computed by all ranks."""
    from wsss.models.segmentation_networks.background_weight import sampled_probabilities

    config, (network, _) = ctx.config, load_network(ctx)
    views: dict[str, Any] = {"scales": config.scales, "flip": config.flip, "max_side": config.max_side}
    return predict_whole(ctx, network, samples, lambda sample, image: sampled_probabilities(network, image, **views))


def _weight(points: Sequence[NDArray[np.float32]], target: float) -> float:
    from wsss.models.segmentation_networks.background_weight import LIMIT, matching_weight

    weight = matching_weight(points, target)
    if weight is None:
        raise InvalidInput(
            f"no background weight between 1/{LIMIT:g} and {LIMIT:g} gives a foreground fraction of {target:.3g}",
            subject="calibrate",
            hint="Check the target fraction (foreground, or that of the masks), and that the network was trained on "
            "similar masks.",
        )
    return weight


def _masked(ctx: Context[CalibrateConfig]) -> tuple[Sample, ...]:
    """Return the samples with the masks that define the target foreground fraction.

    Raises:
        InvalidInput: there are none, or a mask is missing.
    """
    masks, split = ctx.inputs["masks"], ctx.config.mask_split
    if ctx.config.foreground == "ground-truth":
        return tuple(ctx.data.split(split))
    if masks is None:
        raise InvalidInput(
            "no masks from which to measure the foreground fraction",
            subject="calibrate",
            hint="Add the stage whose masks the network was trained on to its needs (or pass --masks DIR), or set "
            "foreground.",
        )
    return with_masks(masks.path, ctx.data.split(split), ctx.data, of=f"split {split!r}", hint=MAKE_MASKS)


def _reads(config: CalibrateConfig) -> list[Read]:
    reads = [Read(split, "images") for split in config.splits]
    if not isinstance(config.foreground, float):  # the list of images of the masks, and the masks of the dataset
        reads.append(Read(config.mask_split, "images" if config.foreground is None else "masks"))
    return reads


def _check(config: CalibrateConfig, data: Dataset) -> None:
    if not isinstance(config.foreground, float):
        data.split(config.mask_split)
    if config.foreground == "ground-truth":
        hint = "Choose a split with masks (mask_split), or pass the masks that the network was trained on."
        require_truth(data, (config.mask_split,), where="calibrate", hint=hint)
    count = len(data.samples(config.splits))
    if count < FEWEST:
        raise InvalidInput(
            f"too few images in {listing(config.splits)} for a mean foreground fraction",
            subject="calibrate.splits",
            allowed=f"at least {FEWEST} images",
            found=count,
            hint="Add splits with more images (labels are not needed), or omit this stage.",
        )


def _prepare(config: CalibrateConfig, data: Dataset) -> None:
    require_whole_images(chosen_images(config, data), len(data.classes), config.scales, config.max_side)


def _ready(ctx: Context[CalibrateConfig]) -> None:
    load_network(ctx)
    if ctx.config.foreground is None:
        _masked(ctx)


def _inspect(ctx: Context[CalibrateConfig]) -> None:
    if ctx.config.foreground is None:
        inspect_masks(ctx, _masked(ctx))


STAGE = Stage(
    name="calibrate",
    version=3,
    config=CalibrateConfig,
    run=run,
    provides="segmenter",
    inputs={
        "segmenter": NETWORK,
        "masks": Input(
            ("masks",),
            f"masks that the network was trained on: folder of a pseudo, crf or predict stage, or {ANY_FOLDER}",
            optional=True,
            nested=True,
        ),
    },
    reads=_reads,
    needs_splits=lambda config: () if config.foreground is not None else (config.mask_split,),
    check=_check,
    prepare=_prepare,
    ready=_ready,
    inspect=_inspect,
)
