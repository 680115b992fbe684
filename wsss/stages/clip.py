"""Maps from a CLIP model and text prompts, without training, after CLIP-ES (Lin et al., CVPR 2023, arXiv 2212.09506).

The attention between the N patches of an image is a dense matrix; memory is proportional to N², that is, to the fourth
power of the side: about 22 bytes·N² with ``attention``, 23 MB at 512 × 512 pixels with patches of 16. ``max_side``
times the largest scale is therefore limited to 2048 (5.9 GB).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from wsss.errors import InvalidInput, listing
from wsss.io.files.stage_files import cam_path
from wsss.models.clip.clip_config import (
    BACKGROUND,
    NAME,
    ClassAwareAttention,
    ClipWeights,
    ImageEmbedding,
    Prompt,
    Template,
    require_open_clip,
)
from wsss.models.config import Scale
from wsss.pipeline.stage import Context, Result, Stage, StageConfig, reads_of
from wsss.stages.common.check_outputs import check_maps
from wsss.stages.common.image_size_notes import note_reduced
from wsss.stages.common.inference.unknown_labels import note_unknown
from wsss.stages.common.written_maps import read_back

if TYPE_CHECKING:
    from torch import Tensor

    from wsss.data.classes import Classes
    from wsss.data.dataset import Dataset
    from wsss.data.sample import Sample
    from wsss.models.clip.clip_network import ClipNetwork

LARGEST_SIDE = 2048
"""Maximum side length of a view in pixels."""


class ClipConfig(StageConfig):
    """Config of `clip`."""

    splits: tuple[str, ...] = Field(default=("train",), min_length=1, description="splits to compute maps for")
    model: str = Field(
        default="ViT-B-16-quickgelu",
        description="architecture, as named by open_clip: a vision transformer with open_clip's own tokenizer, such as "
        "ViT-B-16, or ViT-B-16-quickgelu for OpenAI's weights",
    )
    weights: ClipWeights | None = Field(default=None, description="file with the weights of the model; required")
    prompts: dict[str, tuple[Prompt, ...]] = Field(
        default_factory=dict,
        description="class to names for its prompts, whose embeddings are averaged; by default the name of the class, "
        "with spaces for underscores",
    )
    template: Template = Field(
        default=f"a clean origami {NAME}.", description=f"prompt, with {NAME} in place of a name"
    )
    background: tuple[Prompt, ...] = Field(
        default=BACKGROUND,
        min_length=1,
        description="names for background prompts, with which the classes of an image compete; names of classes of the "
        "dataset are left out",
    )
    image_embedding: ImageEmbedding = Field(
        default="patches",
        description="image embedding compared with the prompts: mean over the patches, as in the code of CLIP-ES, or "
        "that of the class token, as in CLIP",
    )
    attention: ClassAwareAttention | None = Field(
        default=ClassAwareAttention(),
        description="refinement of the maps by the attention of the model; null: none",
    )
    scales: tuple[Scale, ...] = Field(default=(1.0,), min_length=1, description="scale factors of the image")
    flip: bool = Field(default=False, description="also use the mirrored image")
    stride: int = Field(default=4, ge=1, le=32, description="image pixels per map element")
    max_side: int = Field(
        default=512,
        ge=16,
        le=LARGEST_SIDE,
        description="maximum side length in pixels; larger images are downscaled; memory grows with its fourth power",
    )

    @model_validator(mode="after")
    def _bounded_memory(self) -> ClipConfig:
        if self.max_side * max(self.scales) > LARGEST_SIDE:
            raise ValueError(
                f"max_side: expected at most {LARGEST_SIDE} divided by the largest scale, {max(self.scales)}, got "
                f"{self.max_side}"
            )
        return self


def run(ctx: Context[ClipConfig]) -> Result:
    """Compute the maps, image by image."""
    import torch

    from wsss.io.process.retained_memory import retained_memory
    from wsss.models.clip.clip_weights import load_clip
    from wsss.stages.common.inference.batches import require_all, work_in_batches
    from wsss.train.runtime import deterministic, torch_device

    config, classes = ctx.config, ctx.data.classes
    samples = ctx.data.samples(config.splits)
    network = load_clip(config.model, _weights(config), config.image_embedding).to(torch_device(ctx.device))
    _note_background(ctx, classes)
    with deterministic(ctx.device, ctx.seed), retained_memory():
        background = network.embed_texts([_text(config, name) for name in _background(config, classes)])
        of_classes = torch.stack([_embedding(network, config, name) for name in classes.foreground])
        failed = work_in_batches(
            ctx,
            samples,
            lambda batch: _write_maps(network, batch[0], of_classes, background, config, ctx.out),
            batch_size=1,
            outputs=lambda sample: [cam_path(ctx.out, sample.id)],
            check=partial(_check_finished, config=config, out=ctx.out, classes=classes),
            description="maps from CLIP",
        )
    require_all(ctx, failed, samples)
    note_unknown(ctx, samples)
    mean, sizes = read_back(ctx, samples)
    reduced = note_reduced(ctx, sizes, config.max_side, how="the size of the maps does not change")
    metrics = {"images": len(samples), "mean_activation": mean, **reduced}
    provenance = {
        "cam": _provenance(config) | reduced,
        "initial_weights": network.origin.label,
        "supervision": "image-level labels",
    }
    return Result(metrics, provenance)


def _write_maps(
    network: ClipNetwork, sample: Sample, of_classes: Tensor, background: Tensor, config: ClipConfig, out: Path
) -> None:
    import numpy as np
    import torch

    from wsss.io.rasters.cams import Cams, write_cams
    from wsss.io.rasters.rgb_images import read_image
    from wsss.models.attribution.multiscale_cam import Grid, normalise
    from wsss.models.clip.clip_maps import clip_maps
    from wsss.models.segmentation_networks.inference import require_finite

    image, labels = read_image(*sample.source), sample.labels or ()
    size = (image.shape[0], image.shape[1])
    maps = np.zeros((0, *Grid(size, config.stride).size), np.float32)
    if labels:
        texts = torch.cat([of_classes[[index - 1 for index in labels]], background])
        views: dict[str, Any] = {key: getattr(config, key) for key in ("scales", "flip", "stride", "max_side")}
        computed = clip_maps(network, image, texts, len(labels), attention=config.attention, **views)
        require_finite(computed, "class maps")
        maps = normalise(computed, "max").numpy()
    write_cams(cam_path(out, sample.id), Cams(maps, labels, size))


def _names(config: ClipConfig, name: str) -> tuple[str, ...]:
    """Return the names of a class in its prompts."""
    return config.prompts.get(name) or (name.replace("_", " "),)


def _text(config: ClipConfig, name: str) -> str:
    return config.template.replace(NAME, name)


def _embedding(network: ClipNetwork, config: ClipConfig, name: str) -> Tensor:
    """Return the embedding of a class ``(D,)``: the normalised mean over its prompts."""
    import torch.nn.functional as F

    return F.normalize(network.embed_texts([_text(config, each) for each in _names(config, name)]).mean(0), dim=0)


def _background(config: ClipConfig, classes: Classes) -> list[str]:
    """Return the background names that are no names of classes, which would compete with themselves."""
    taken = {each.casefold() for name in classes.foreground for each in (name.replace("_", " "), *_names(config, name))}
    return [name for name in config.background if name.casefold() not in taken]


def _note_background(ctx: Context[ClipConfig], classes: Classes) -> None:
    kept = _background(ctx.config, classes)
    left_out = [name for name in ctx.config.background if name not in kept]
    if left_out and ctx.ranks.rank == 0:
        ctx.log(
            f"note: {ctx.out.name}: background names that are classes of the dataset are left out: {listing(left_out)}"
        )


def _provenance(config: ClipConfig) -> dict[str, Any]:
    chosen = config.model_dump(mode="json", include={"model", "template", "image_embedding", "attention"})
    return {
        "method": "clip",
        **chosen,
        **({"prompts": {name: list(names) for name, names in config.prompts.items()}} if config.prompts else {}),
        **({"background": list(config.background)} if config.background != BACKGROUND else {}),
        "scales": list(config.scales),
        "flip": config.flip,
    }


def _check_finished(sample: Sample, *, config: ClipConfig, out: Path, classes: Classes) -> None:
    check_maps(sample, out=out, classes=classes, of=sample.labels or (), stride=config.stride)


def _weights(config: ClipConfig) -> ClipWeights:
    """Return the weights.

    Raises:
        InvalidInput: none are set.
    """
    if config.weights is None:
        raise InvalidInput(
            "clip requires the weights of a CLIP model, which it does not download",
            subject="clip.weights",
            hint="Set weights: {path: FILE} (--set weights.path=FILE).",
        )
    return config.weights


def _check(config: ClipConfig, data: Dataset) -> None:
    from wsss.data.sample import require_labels

    require_open_clip()
    weights = _weights(config)
    if not weights.path.is_file():
        raise InvalidInput(
            "no such weights file", subject=weights.path, hint="Set clip.weights.path to an existing file."
        )
    _check_prompts(config.prompts, data.classes)
    if not _background(config, data.classes):
        raise InvalidInput(
            "no background prompt is left: all are names of classes of the dataset",
            subject="clip.background",
            found=listing(config.background),
        )
    require_labels(data.samples(config.splits))


def _check_prompts(prompts: Mapping[str, tuple[str, ...]], classes: Classes) -> None:
    """Require prompts of known classes.

    Raises:
        InvalidInput: a class is unknown, or has an empty list.
    """
    for name, names in prompts.items():
        if name not in classes.foreground:
            raise InvalidInput("unknown class", subject="clip.prompts", found=name, allowed=list(classes.foreground))
        if not names:
            raise InvalidInput(subject=f"clip.prompts.{name}", found=[], allowed="at least one name")


def _prepare(config: ClipConfig, data: Dataset) -> None:
    from wsss.models.clip.clip_weights import check_clip

    names = [
        *_background(config, data.classes),
        *(each for name in data.classes.foreground for each in _names(config, name)),
    ]
    blocks = 0 if config.attention is None else config.attention.blocks
    check_clip(config.model, _weights(config), blocks, [_text(config, name) for name in names])


STAGE = Stage(
    name="clip",
    version=1,
    config=ClipConfig,
    run=run,
    provides="cams",
    resumes=True,
    reads=lambda config: reads_of(config.splits, "images", "labels"),
    covers=lambda config: config.splits,
    check=_check,
    prepare=_prepare,
)
