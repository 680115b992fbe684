"""``images.json`` of a prediction: which images failed, and which masks stay when one of them is repaired."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.errors import MOST_SHOWN, InvalidInput, RunFailed, counted
from wsss.io.files.atomic import explain_os_errors, sha256_file
from wsss.io.files.contained import delete_file
from wsss.pipeline.run.items import REPAIR
from wsss.stages.common.predict_batch import allowed_classes, outputs_of

if TYPE_CHECKING:
    from wsss.data.masks.predicted_masks import FailedImage, Predicted
    from wsss.data.sample import Classes, Sample
    from wsss.pipeline.stage import Context
    from wsss.stages.predict import PredictConfig


def keeps_masks(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Tell whether only images or labels changed, and ``images.json`` records what each mask was made from."""
    return _recorded(folder) is not None and _settings(before) == _settings(now)


def _settings(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return an identity without what `_source` and the recorded classes tell of each image."""
    config = {key: value for key, value in (parts.get("config") or {}).items() if key != "images"}
    reads = [key for key in parts.get("reads") or {} if not key.endswith(("/images", "/labels"))]
    return {**parts, "config": config, "reads": reads}


def _recorded(folder: Path) -> Predicted | None:
    """Return the record of a prediction of which images failed; ``None`` where there is none that can be read."""
    from wsss.data.masks.predicted_masks import read_predicted

    try:
        recorded = read_predicted(folder)
    except InvalidInput:  # then the masks are made again, or are those of the same images
        return None
    return recorded if recorded is not None and recorded.failed else None


def discard_outdated(ctx: Context[PredictConfig], samples: Sequence[Sample], classes: Classes) -> None:
    """Delete the masks of images that changed or are gone since ``images.json`` recorded failures."""
    recorded = _recorded(ctx.out)
    if recorded is None:
        return
    sources = {sample.id: _source(ctx.config, sample) for sample in samples} if recorded.classes == classes else {}
    for name in {*recorded.sources, *(sample.id for sample in samples)}:
        if recorded.sources.get(name, "") != sources.get(name):
            for path in outputs_of(ctx.config, ctx.out, name):
                with explain_os_errors(path):
                    delete_file(path)


def _source(config: PredictConfig, sample: Sample) -> str | None:
    """Return a hash of what an image's mask is made from; ``None`` where the image can't be read."""
    try:
        content = sha256_file(sample.image)
    except OSError:
        return None
    return hashlib.sha256(json.dumps([content, allowed_classes(config, sample)]).encode()).hexdigest()


def failed_images(
    ctx: Context[PredictConfig], samples: Sequence[Sample], errors: Mapping[str, InvalidInput]
) -> dict[str, FailedImage]:
    """Return the images without masks, whichever rank worked on them.

    Args:
        ctx: of the stage.
        samples: all images.
        errors: id → why, as far as this rank knows.
    """
    from wsss.data.masks.predicted_masks import FailedImage

    found = {}
    for sample in samples:
        if not all(path.is_file() for path in outputs_of(ctx.config, ctx.out, sample.id)):
            error = errors.get(sample.id) or _try(sample)
            found[sample.id] = FailedImage(_file(ctx.config, sample), error.message if error else "no mask was written")
    return found


def _try(sample: Sample) -> InvalidInput | None:
    """Return why an image, which another rank worked on, can't be read."""
    from wsss.io.rasters.rgb_images import read_image

    try:
        read_image(sample.image)
    except InvalidInput as error:
        return error
    return None


def _file(config: PredictConfig, sample: Sample) -> str:
    """Return an image's path, relative to the folder of images where that was given."""
    return (sample.image if config.images is None else sample.image.relative_to(config.images)).as_posix()


def write_record(
    ctx: Context[PredictConfig], samples: Sequence[Sample], classes: Classes, failed: Mapping[str, FailedImage]
) -> None:
    """Write what the masks of a folder are of, what their values mean, and which images failed; of splits the last."""
    from wsss.data.masks.predicted_masks import PREDICTED, Predicted, write_predicted

    config = ctx.config
    done = [sample for sample in samples if sample.id not in failed]
    files = None if config.images is None else {sample.id: _file(config, sample) for sample in done}
    if failed or files is not None:
        sources = {sample.id: _source(config, sample) for sample in done} if failed else {}
        known = {name: source for name, source in sources.items() if source is not None}
        write_predicted(ctx.out, Predicted(classes, files, failed, known))
    else:
        with explain_os_errors(ctx.out / PREDICTED):
            delete_file(ctx.out / PREDICTED)


def failure_of(failed: Mapping[str, FailedImage], total: int, out: Path) -> RunFailed:
    """Return the error that names the images that failed."""
    from wsss.data.masks.predicted_masks import PREDICTED

    lines = [f"  {why.reason}" for why in failed.values()]
    more = [f"  and {len(lines) - MOST_SHOWN} more (see {out / PREDICTED})"] if len(lines) > MOST_SHOWN else []
    done = total - len(failed)
    export = f" {counted(done, 'mask is', 'masks are')} done; wsss export takes them as they are." if done else ""
    return RunFailed(
        "\n".join([f"{len(failed)} of {total} images failed:", *lines[:MOST_SHOWN], *more]), hint=REPAIR + export
    )
