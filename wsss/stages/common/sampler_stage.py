"""What `expand` and `shrink` share: training a sampler behind a trained classifier."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from wsss.errors import InvalidInput, RunFailed, listing
from wsss.io.files.stage_files import offsets_path
from wsss.pipeline.stage import Context, Input
from wsss.stages.common.classifier_training import TILES, LabelledConfig, train_on_labels
from wsss.train.config import AdamWConfig, OptimiserConfig

if TYPE_CHECKING:
    from torch import Tensor

    from wsss.data.sample import Sample
    from wsss.models.classifier import CAMClassifier
    from wsss.models.config import SamplerConfig, SamplingConfig
    from wsss.models.samplers import DeformableSampler

Merge = Literal["expansion", "shrinkage", "mean", "max"]
Placement = Literal["bottleneck", "features"]
Scope = Literal["offsets", "kernel", "sampler", "head", "trunk"]

SCOPES = "offset branch, kernel, both (sampler), all layers after the sampler (head), trunk"
AREA = (
    "weight μ of the area term (mean area of the maps of present classes) in the loss; positive values shrink maps, "
    "negative ones enlarge them; the opposite holds for offsets with a reversed gradient"
)


def classifier_input(origin: str) -> dict[str, Input]:
    """Return the stage's inputs: a classifier, from the stages named, and tiles to train it on."""
    return {"classifier": Input(("classifier",), f"folder of {origin}"), "tiles": TILES}


LARGEST = 1024
"""Longer side in pixels of an image whose offsets are looked at, unless the stage has a ``max_side``."""

WATCHED = 32
"""Images, the first of val (or else of split), whose offsets are measured after every epoch."""


class SamplingTraining(LabelledConfig):
    """Training of a sampler, with the classifier around it.

    The defaults, here and in both stages, are those of the presets for photographs: docs/esol.md says what they gain.
    """

    optimiser: OptimiserConfig = Field(
        default_factory=lambda: AdamWConfig(lr=1e-3, head_lr_factor=1, weight_decay=1e-4), description="sgd or adamw"
    )
    update: tuple[Scope, ...] = Field(
        default=("offsets", "kernel", "head"), min_length=1, description=f"trainable parts: {SCOPES}"
    )
    offset_lr_factor: float = Field(
        default=1.0, gt=0, description="learning rate of the offset branch, as a multiple of optimiser.lr"
    )
    kernel_lr_factor: float = Field(
        default=0.1, gt=0, description="learning rate of the sampler's kernel, as a multiple of optimiser.lr"
    )
    area: float = Field(default=0.0, description=AREA)
    show: int = Field(
        default=6, ge=0, description="number of images of val (else of split) whose offsets are saved for the report"
    )


def check_update(config: SamplingTraining, sampler: SamplerConfig | None) -> None:
    """Check that ``update``, where it was given, names what there is; its default means as much of it as there is.

    Raises:
        ValueError: it names a sampler, or learned offsets, that aren't there; or leaves out offsets that should learn.
    """
    if "update" not in config.model_fields_set:
        return
    here = {"head", "trunk"}
    if sampler is not None:
        here |= {"kernel", "sampler"} | ({"offsets"} if sampler.offsets == "learned" else set())
    missing = [scope for scope in config.update if scope not in here]
    if missing:
        what = "there is no sampler" if sampler is None else f"its offsets are {sampler.offsets!r}"
        raise ValueError(
            f"update: {listing(missing)} can't learn, since {what}; here can learn {listing(sorted(here))}"
        )
    if "offsets" in here and not {"offsets", "sampler"}.intersection(config.update):
        raise ValueError(
            f"update: {listing(config.update)} without offsets: those of the sampler would stay next to 0, where they "
            "begin; add offsets, or set sampler.offsets to none"
        )


def put_sampler(classifier: CAMClassifier, sampling: SamplingConfig) -> None:
    """Put samplers into a classifier.

    Raises:
        InvalidInput: they don't fit its features.
    """
    try:
        classifier.resample(sampling)
    except ValueError as error:
        raise InvalidInput(f"sampler: {error}.") from error


def train_sampler(
    ctx: Context[Any],
    name: str,
    classifier: CAMClassifier,
    sampler: DeformableSampler | None,
) -> dict[str, Any]:
    """Train a sampler that stands in ``classifier``, and the classifier around it; write both, and some offsets.

    Args:
        ctx: with a config that is a `SamplingTraining`.
        name: the stage's.
        classifier, sampler: as loaded, and the new one in it, if any.

    Returns:
        Metrics, among them how far the samples have moved.

    Raises:
        RunFailed: the offsets have grown without bounds.
    """
    from wsss.io.rasters.offsets import Offsets, write_offsets
    from wsss.models.classifier import save_classifier
    from wsss.train.classification import multilabel_loss
    from wsss.train.sampler_training import LogitsAndArea, area_loss, offset_summary, sampler_groups

    config: SamplingTraining = ctx.config
    groups = sampler_groups(
        classifier,
        sampler,
        config.optimiser,
        update=config.update,
        offset_factor=config.offset_lr_factor,
        kernel_factor=config.kernel_lr_factor,
    )
    looked_at = ctx.data.split(config.val or config.split) if sampler else ()

    def watch() -> dict[str, float]:
        watched = looked_at[:WATCHED]
        return offset_summary([_offsets(classifier, one, config.max_side)[0] for one in watched]) if watched else {}

    metrics = train_on_labels(
        ctx,
        name,
        classifier,
        groups,
        network=LogitsAndArea(classifier) if config.area else None,
        loss=partial(area_loss, config.area) if config.area else multilabel_loss,
        watch=watch,
    )
    if ctx.ranks.rank == 0:
        classifier.eval()
        metrics |= watch()
        for sample in looked_at[: config.show]:
            offsets, size, stride = _offsets(classifier, sample, config.max_side)
            taps = offsets[0].unflatten(0, (-1, 2)).cpu().numpy()
            try:
                write_offsets(offsets_path(ctx.out, sample.id), Offsets(taps, stride, size))
            except ValueError as error:
                raise RunFailed(
                    f"sampler: on {sample.id} {error}: they have grown without bounds.",
                    hint="Set sampler.max_offset to a number of feature pixels, or a lower offset_lr_factor.",
                ) from error
        save_classifier(ctx.out, classifier, ctx.data.classes)
    return metrics


def _offsets(classifier: CAMClassifier, sample: Sample, max_side: int | None) -> tuple[Tensor, tuple[int, int], int]:
    """Return the last sampler's offsets on an image.

    Args:
        classifier: with a sampler.
        sample: the image.
        max_side: longer side in pixels that larger images are reduced to; by default `LARGEST`.

    Returns:
        ``(1, 2·T, h, w)``, the image's own size, and its pixels per feature pixel.
    """
    import torch

    from wsss.io.rasters.rgb_images import read_image
    from wsss.train.image_cache import reduced

    whole = read_image(sample.image)
    image = reduced(whole, max_side or LARGEST)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].to(classifier.head.weight.device)
    with torch.no_grad():
        offsets = classifier.samplers.offsets(classifier.features(pixels))
    assert offsets is not None, "a sampler has just been trained"
    stride = round(classifier.backbone.output_stride * max(whole.shape[:2]) / max(image.shape[:2]))
    return offsets, (whole.shape[0], whole.shape[1]), stride
