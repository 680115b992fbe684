"""Training targets of `segment` and `affinity`: masks or class probabilities, matched to the images and validated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.data.classes import renumber
from wsss.errors import InvalidInput, listing
from wsss.io.files.stage_files import probability_path
from wsss.pipeline.stage import Context
from wsss.stages.common.corrected_masks import corrections_of
from wsss.stages.common.input_masks.mask_inputs import count_empty, require_class, survey, with_masks

if TYPE_CHECKING:
    from wsss.data.sample import Sample
    from wsss.io.rasters.pixel_values.reading import ImageSource
    from wsss.train.tasks.segmentation import SegmentationExamples
    from wsss.train.tasks.soft import SoftExamples

SAVE = "Set save_probabilities: true in the predict stage"


def training_examples(ctx: Context[Any]) -> SegmentationExamples | SoftExamples:
    """Return the images with masks or, for soft labels, with class probabilities.

    Raises:
        InvalidInput: see `image_mask_pairs` and `probability_files`; or a file is broken.
    """
    from wsss.data.corrections.corrected_pixels import CorrectedMasks
    from wsss.train.corrected_examples import CorrectedExamples
    from wsss.train.image_cache import ArrayCache
    from wsss.train.tasks.segmentation import PairLoader, SegmentationExamples
    from wsss.train.tasks.soft import SoftExamples, SoftPairLoader

    config, classes, cache = ctx.config, ctx.data.classes, ctx.config.cache_mb << 20
    corrected = CorrectedMasks([sample.id for sample in ctx.data.split(config.split)], corrections_of(ctx))
    if config.labels == "soft":
        files = probability_files(ctx)
        soft = SoftPairLoader(files, classes, config.max_side, corrected=corrected)
        return SoftExamples(ArrayCache(soft, len(files), cache_bytes=cache), config.augmentation)
    pairs, marked = image_mask_pairs(ctx), is_weighted(ctx)
    load = PairLoader(pairs, classes, config.max_side, corrected=corrected, marked=marked)
    examples = CorrectedExamples if marked else SegmentationExamples
    return examples(ArrayCache(load, len(pairs), cache_bytes=cache), config.augmentation)


def is_weighted(ctx: Context[Any]) -> bool:
    """Return whether the loss weights corrected pixels differently from others."""
    return ctx.config.corrections is not None and getattr(ctx.config, "correction_weight", 1) != 1


def probability_files(ctx: Context[Any]) -> list[tuple[ImageSource, Path]]:
    """Return the paths of image and class probabilities of every sample.

    Raises:
        InvalidInput: the stage has no input masks, or probabilities are missing.
    """
    split, masks = ctx.config.split, ctx.inputs["masks"]
    if masks is None:
        raise InvalidInput(
            "soft requires class probabilities from a predict stage",
            subject="segment.labels",
            hint=f"Add a predict stage to its needs (or pass --masks DIR). {SAVE}.",
        )
    samples = ctx.data.split(split)
    files = [(sample.source, probability_path(masks.path, sample.id)) for sample in samples]
    missing = [sample.id for sample, (_, path) in zip(samples, files, strict=True) if not path.is_file()]
    if missing:
        raise InvalidInput(
            f"no class probabilities (probabilities/ID.npz) for {len(missing)} of {len(samples)} images of split "
            f"{split!r}: {listing(missing)}",
            subject=masks.path,
            hint=f"{SAVE}, and splits: [{split}].",
        )
    return files


def image_mask_pairs(ctx: Context[Any], log: Callable[[str], None] = lambda line: None) -> tuple[Sample, ...]:
    """Return the samples with the masks to train on.

    Args:
        log: receives a note on masks that were matched by a part of their name.

    Raises:
        InvalidInput: the stage has no input masks, or a mask is missing.
    """
    config, masks, samples = ctx.config, ctx.inputs["masks"], ctx.data.split(ctx.config.split)
    if config.labels == "ground-truth":
        return tuple(samples)
    if masks is None:
        raise InvalidInput(
            "no masks to train on",
            subject="segment",
            hint="Add a pseudo, crf or predict stage to its needs (or pass --masks DIR). To train on the ground-truth "
            "masks, set labels: ground-truth (or pass --targets ground-truth).",
        )
    hint = "Create masks for all images of the split to train on."
    return with_masks(masks.path, samples, ctx.data, of=f"split {config.split!r}", hint=hint, log=log)


def count_empty_masks(ctx: Context[Any]) -> dict[str, int]:
    """Return the number of training masks without a class, as a metric; empty for soft labels."""
    if ctx.config.labels == "soft" or ctx.ranks.rank != 0:
        return {}
    pairs = image_mask_pairs(ctx, ctx.log)
    summaries = survey(ctx, pairs)
    if ctx.config.labels == "ground-truth":
        from wsss.data.masks.encodings import check_encoding

        shown = zip(pairs, (summary.shown for summary in summaries), strict=True)
        check_encoding(shown, ctx.data.classes, where=f"segment: split {ctx.config.split!r}")
    corrected = _corrected_to_show_a_class(ctx)
    shown_class = [pair.id in corrected or summary.shows_class for pair, summary in zip(pairs, summaries, strict=True)]
    return {"empty_masks": count_empty(ctx, pairs, shown_class)}


def _corrected_to_show_a_class(ctx: Context[Any]) -> set[str]:
    """Return the training images whose corrected mask shows a class."""
    from wsss.data.sample_mask import shows_class

    corrections = corrections_of(ctx)
    if corrections is None:
        return set()
    masks = ((sample.id, corrections.read(sample.id)) for sample in ctx.data.split(ctx.config.split))
    return {id for id, mask in masks if mask is not None and shows_class(mask)}


def check_training_masks(ctx: Context[Any]) -> None:
    """Reject masks that show background only, unless corrected masks show a class.

    Raises:
        InvalidInput: see `image_mask_pairs` and `require_class`; or no mask shows a class.
    """
    from wsss.data.sample_mask import read_sample_mask, shows_class

    classes, pairs = ctx.data.classes, image_mask_pairs(ctx)
    if _corrected_to_show_a_class(ctx):
        return
    advice = "Choose a split whose masks show a class."
    if ctx.config.labels == "pseudo":
        advice = "Lower the thresholds of the stage that created the masks (pseudo: policy), or inspect its maps."
        hint = f"If 255 means a class, {renumber(classes)}."
        if "labels" in type(ctx.config).model_fields:
            hint += (
                " To train on the masks of the dataset, set labels: ground-truth (data.mask_values names their values)."
            )
        require_class(ctx.inputs["masks"], pairs, classes, purpose="to train on", hint=hint)
    expected = [sample for sample in pairs if sample.labels != ()]
    if expected and not any(shows_class(read_sample_mask(sample, classes)) for sample in expected):
        raise InvalidInput(
            f"none of the {len(expected)} masks to train on shows a class: all pixels are background or uncertain",
            subject=expected[0].mask and expected[0].mask.parent,
            hint=advice,
        )
