"""``images.json`` of a prediction: the images that failed, and hashes of those whose masks are kept for a retry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.errors import MAX_SHOWN, InvalidInput, RunFailed, counted
from wsss.io.files.atomic import convert_os_errors, sha256_file
from wsss.io.files.contained import delete_file
from wsss.pipeline.run.items import REPAIR
from wsss.stages.common.inference.predict_batch import PredictionSettings, allowed_classes, outputs_of

if TYPE_CHECKING:
    from wsss.data.classes import Classes
    from wsss.data.masks.predicted_masks import FailedImage, Predicted
    from wsss.data.sample import Sample
    from wsss.pipeline.stage import Context


def keeps_masks(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether only images or labels changed and ``images.json`` records a source hash for each mask."""
    return _recorded(folder) is not None and _settings(before) == _settings(now)


def _settings(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of an identity that are covered neither by `_source` nor by the recorded classes."""
    config = {key: value for key, value in (parts.get("config") or {}).items() if key != "images"}
    reads = [key for key in parts.get("reads") or {} if not key.endswith(("/images", "/labels"))]
    return {**parts, "config": config, "reads": reads}


def _recorded(folder: Path) -> Predicted | None:
    """Return the record of a prediction with failed images; ``None`` if there is no readable one."""
    from wsss.data.masks.predicted_masks import read_predicted

    try:
        recorded = read_predicted(folder)
    except InvalidInput:
        return None
    return recorded if recorded is not None and recorded.failed else None


def discard_outdated(ctx: Context[Any], samples: Sequence[Sample], classes: Classes) -> None:
    """Delete the masks of images that changed or were removed since ``images.json`` recorded failures."""
    recorded = _recorded(ctx.out)
    if recorded is None:
        return
    sources = {sample.id: _source(ctx.config, sample) for sample in samples} if recorded.classes == classes else {}
    for id in {*recorded.sources, *(sample.id for sample in samples)}:
        if recorded.sources.get(id, "") != sources.get(id):
            for path in outputs_of(ctx.config, ctx.out, id):
                with convert_os_errors(path):
                    delete_file(path)


def _source(config: PredictionSettings, sample: Sample) -> str | None:
    """Return a hash of the image, its conversion and its allowed classes; ``None`` if the image cannot be read."""
    try:
        content = sha256_file(sample.image)
    except OSError:
        return None
    parts = [content, sample.reading.to_json(), allowed_classes(config, sample)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def failed_images(
    ctx: Context[Any], samples: Sequence[Sample], errors: Mapping[str, InvalidInput]
) -> dict[str, FailedImage]:
    """Return the images without masks.

    Args:
        errors: image id → error, of all ranks.
    """
    from wsss.data.masks.predicted_masks import FailedImage

    failed = {}
    for sample in samples:
        if not all(path.is_file() for path in outputs_of(ctx.config, ctx.out, sample.id)):
            error = errors.get(sample.id)
            failed[sample.id] = FailedImage(
                _file(ctx.config, sample), error.message if error else "no mask was written"
            )
    return failed


def _file(config: PredictionSettings, sample: Sample) -> str:
    """Return the path of an image, relative to ``images`` if a folder of images is predicted."""
    return (sample.image if config.images is None else sample.image.relative_to(config.images)).as_posix()


def write_record(
    ctx: Context[Any], samples: Sequence[Sample], classes: Classes, failed: Mapping[str, FailedImage]
) -> None:
    """Write classes, image files and failures to ``images.json``; for splits, only if an image failed."""
    from wsss.data.masks.predicted_masks import PREDICTED, Predicted, write_predicted

    config: PredictionSettings = ctx.config
    done = [sample for sample in samples if sample.id not in failed]
    files = None if config.images is None else {sample.id: _file(config, sample) for sample in done}
    if failed or files is not None:
        sources = {sample.id: _source(config, sample) for sample in done} if failed else {}
        known = {id: source for id, source in sources.items() if source is not None}
        reading = {"reading": samples[0].reading} if files is not None and samples else {}
        write_predicted(ctx.out, Predicted(classes, files, failed, known, **reading))
    else:
        with convert_os_errors(ctx.out / PREDICTED):
            delete_file(ctx.out / PREDICTED)


def failure_of(failed: Mapping[str, FailedImage], total: int, out: Path) -> RunFailed:
    """Return the error that lists the failed images, shortened if there are many."""
    from wsss.data.masks.predicted_masks import PREDICTED

    lines = [f"  {image.reason}" for image in failed.values()]
    more = [f"  and {len(lines) - MAX_SHOWN} more (see {out / PREDICTED})"] if len(lines) > MAX_SHOWN else []
    done = total - len(failed)
    export = f" {counted(done, 'mask is', 'masks are')} complete; wsss export can export them now." if done else ""
    problem = "\n".join([f"{len(failed)} of {total} images failed:", *lines[:MAX_SHOWN], *more])
    return RunFailed(problem, hint=REPAIR + export)
