"""Choose the scales of prediction without ground truth, by agreement with masks from image-level labels.

The masks are those of a `pseudo` or `crf` stage, for images that the network was not trained on; the image-level labels
exclude classes that an image does not show. Masks of a network would agree best at the scales of their own prediction,
so they are refused, as are masks that depend on the ground truth. The choice is only recorded: set it as ``scales`` of
`calibrate` and `predict`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from wsss.errors import InvalidInput
from wsss.io.rasters.working_size import MaxSide
from wsss.models.config import Scale
from wsss.pipeline.stage import Artifact, Context, Input, Read, Result, Stage, StageConfig
from wsss.stages.common.corrected_masks import AND_CORRECTED
from wsss.stages.common.image_size_notes import require_whole_images
from wsss.stages.common.inference.whole_images import NETWORK, chosen_images, load_network, predict_whole
from wsss.stages.common.input_masks.mask_inputs import ANY_FOLDER, supervision_of, with_masks
from wsss.stages.common.inspect_inputs import inspect_masks
from wsss.stages.common.mask_stages import require_foreground

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsss.data.dataset import Dataset
    from wsss.data.sample import Sample
    from wsss.models.segmentation_networks.segmenters import SegmentationNetwork

Scales = tuple[float, ...]


class ScalesConfig(StageConfig):
    """Config of `scales`."""

    splits: tuple[str, ...] = Field(
        default=("val",), min_length=1, description="splits with images that the network was not trained on"
    )
    max_images: int = Field(default=200, ge=1, description="maximum number of images to predict, spaced evenly")
    candidates: tuple[Scale, ...] = Field(
        default=(0.5, 0.75, 1.0, 1.25),
        min_length=2,
        max_length=6,
        description="scale factors of the image, ascending; all sets of consecutive scales are compared",
    )
    flip: bool = Field(default=False, description="also use the mirrored image")
    max_side: MaxSide = None

    @field_validator("candidates")
    @classmethod
    def _ascending(cls, candidates: Scales) -> Scales:
        if list(candidates) != sorted(set(candidates)):
            raise ValueError("expected ascending scales without repetitions")
        return candidates

    @property
    def scale_sets(self) -> tuple[Scales, ...]:
        """All sets of consecutive candidates, small ones first."""
        lengths = range(1, len(self.candidates) + 1)
        return tuple(
            self.candidates[first : first + length]
            for length in lengths
            for first in range(len(self.candidates) - length + 1)
        )


def run(ctx: Context[ScalesConfig]) -> Result:
    """Predict the images at all scales, and compare the masks of every set of scales with the input masks."""
    import numpy as np

    from wsss.metrics.overlap import mean_scores

    config, (network, _) = ctx.config, load_network(ctx)
    samples = _masked(ctx, log=ctx.log if ctx.ranks.rank == 0 else lambda line: None)
    if ctx.ranks.rank == 0:
        _note_training_split(ctx)
    counted = predict_whole(ctx, network, samples, lambda sample, image: _count(ctx, network, sample, image))
    agreement = mean_scores(np.sum(counted, axis=0), "miou")
    chosen = config.scale_sets[int(agreement.argmax())]  # the smallest set, if several agree equally
    table = [
        {"scales": list(scales), "agreement": round(float(value), 6)}
        for scales, value in zip(config.scale_sets, agreement, strict=True)
    ]
    if ctx.ranks.rank == 0:
        _log(ctx, chosen, table)
    metrics = {"images": len(samples), "scales": list(chosen), "flip": config.flip, "candidates": table}
    masks = ctx.inputs["masks"]
    stated = {
        "chosen": list(chosen),
        "by": f"mIoU of the network's masks with {masks.id or 'other masks'} on {len(samples)} images",
        "supervision": supervision_of(masks),
        "ground_truth": _ground_truth(masks),
    }
    return Result(metrics, {"scales": stated})


def _ground_truth(masks: Artifact) -> str:
    """Return what is known about the use of ground truth for masks that `_refuse` accepts."""
    if not masks.provenance.get("supervision"):
        return "unknown"
    return "corrected masks" if AND_CORRECTED in supervision_of(masks) else "not used"


def _note_training_split(ctx: Context[ScalesConfig]) -> None:
    """Log if the network was trained on one of the splits, as far as its record states that."""
    network = ctx.inputs["segmenter"]
    split = network.config.get("split")
    if network.uses == "calibrate" and network.config.get("foreground") is None:
        split = network.config.get("mask_split")  # the split of the masks that the network was trained on
    if split in ctx.config.splits:
        ctx.log(
            f"note: the network was trained on the split {split!r}, where its masks agree with its training masks; "
            "choose the scales on other images."
        )


def _log(ctx: Context[ScalesConfig], chosen: Scales, table: Sequence[Mapping[str, Any]]) -> None:
    ranked = sorted(table, key=lambda row: -row["agreement"])
    shown = "; ".join(f"{_text(row['scales'])}: {row['agreement']:.4f}" for row in ranked)
    ctx.log(f"agreement by scales: {shown}")
    ctx.log(f"chosen: {_text(chosen)} (calibrate, predict: --scales {','.join(f'{scale:g}' for scale in chosen)})")
    if ranked[0]["agreement"] == ranked[-1]["agreement"]:
        ctx.log("note: all candidates agree equally well with the masks, so the choice is arbitrary.")
        return
    ends = {ctx.config.candidates[0], ctx.config.candidates[-1]}
    if len(chosen) == 1 and chosen[0] in ends:
        ctx.log("note: the best scale is the first or the last candidate; scales beyond it may be better.")


def _text(scales: Sequence[float]) -> str:
    return " + ".join(f"{scale:g}" for scale in scales)


def _count(
    ctx: Context[ScalesConfig], network: SegmentationNetwork, sample: Sample, image: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """Return the confusion matrix of every set of scales, ``(N, C, C + 1)``, with the input masks as ground truth."""
    import numpy as np

    from wsss.data.sample_mask import read_sample_mask
    from wsss.metrics.overlap import confusion_matrix
    from wsss.models.segmentation_networks.scale_candidates import candidate_bands

    config, classes = ctx.config, ctx.data.classes
    mask = read_sample_mask(sample, classes, size=image.shape[:2])
    total = np.zeros((len(config.scale_sets), len(classes), len(classes) + 1), np.int64)
    bands = candidate_bands(network, image, config.scale_sets, flip=config.flip, max_side=config.max_side)
    for rows, predicted in bands:
        total += np.stack([confusion_matrix(prediction, mask[rows], len(classes)) for prediction in predicted])
    return total


def _masked(ctx: Context[ScalesConfig], log: Callable[[str], None] = lambda line: None) -> tuple[Sample, ...]:
    """Return the images to predict with the masks of the input; ``log`` receives a note on guessed file names.

    Raises:
        InvalidInput: the masks are those of a network or depend on the ground truth, or some are missing.
    """
    masks, config = ctx.inputs["masks"], ctx.config
    _refuse(masks)
    splits = " and ".join(config.splits)
    hint = f"Add {splits} to the splits of the stage that makes the masks, and of the stages it needs."
    return with_masks(masks.path, chosen_images(config, ctx.data), ctx.data, of="the splits", hint=hint, log=log)


def _refuse(masks: Artifact) -> None:
    """Refuse masks that depend on the ground truth, or on a network's own prediction."""
    from wsss.viz.report.report_scores import depends_on_truth

    hint = "Pass the masks of a pseudo stage, or of a crf stage that refines them."
    if depends_on_truth(masks.metrics, masks.provenance):
        raise InvalidInput(
            "choosing scales with masks that depend on the ground truth would bias later scores on these images",
            subject="scales.masks",
            found=_truth_in(masks),
            allowed="masks from image-level labels",
            hint=hint,
        )
    if {"segmenter", "predict_scales"} & set(masks.provenance):  # weights without a record have no segmenter
        raise InvalidInput(
            "masks predicted by a network agree best at the scales at which they were predicted",
            subject="scales.masks",
            found=f"masks predicted by {masks.provenance.get('segmenter', 'a network')}",
            allowed="masks computed from maps",
            hint=hint,
        )


def _truth_in(masks: Artifact) -> str:
    """Return the statement on the ground truth that masks depend on."""
    from wsss.viz.report.report_scores import is_oracle

    stated = [f"{key}: {value}" for key, value in masks.provenance.items() if is_oracle({key: value})]
    return "; ".join(stated) or supervision_of(masks)


def _require_class(ctx: Context[ScalesConfig], samples: Sequence[Sample]) -> None:
    """Require that a mask shows a class: otherwise, the best scales would be those that predict the least foreground.

    Raises:
        InvalidInput: no mask shows a class.
    """
    from wsss.data.sample_mask import read_sample_mask, shows_class

    require_foreground(ctx, samples, purpose="to compare with")
    if not any(shows_class(read_sample_mask(sample, ctx.data.classes)) for sample in samples):
        raise InvalidInput(
            f"none of the {len(samples)} masks shows a class: all pixels are background or uncertain",
            subject=ctx.inputs["masks"].path,
            hint="Choose splits whose masks show a class, or lower the thresholds of the stage that made them.",
        )


def _check(config: ScalesConfig, data: Dataset) -> None:
    data.samples(config.splits)


def _prepare(config: ScalesConfig, data: Dataset) -> None:
    require_whole_images(chosen_images(config, data), len(data.classes), config.candidates, config.max_side)


def _ready(ctx: Context[ScalesConfig]) -> None:
    load_network(ctx)
    _require_class(ctx, _masked(ctx))


STAGE = Stage(
    name="scales",
    version=1,
    config=ScalesConfig,
    run=run,
    provides="scales",
    inputs={
        "segmenter": NETWORK,
        "masks": Input(
            ("masks",), f"masks of these images: folder of a pseudo or crf stage, or {ANY_FOLDER}", nested=True
        ),
    },
    reads=lambda config: [Read(split, "images") for split in config.splits],
    needs_splits=lambda config: config.splits,
    check=_check,
    prepare=_prepare,
    ready=_ready,
    inspect=lambda ctx: inspect_masks(ctx, _masked(ctx)),
)
