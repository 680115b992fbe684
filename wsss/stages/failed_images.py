"""Predictions of which some images failed: what is recorded of them, and which masks stay when an image is repaired."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.errors import InvalidInput
from wsss.io.atomic import explain_os_errors, sha256_file

if TYPE_CHECKING:
    from wsss.data.predicted import FailedImage, Predicted
    from wsss.data.sample import Classes, Sample

Outputs = Callable[[str], Sequence[Path]]
"""Image id → its files."""


def keeps_masks(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Tell whether only images or labels changed, and ``images.json`` records what each mask was made from."""
    from wsss.data.predicted import read_predicted

    try:
        recorded = read_predicted(folder)
    except InvalidInput:
        return False
    return recorded is not None and bool(recorded.failed) and _settings(before) == _settings(now)


def _settings(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return an identity without what `source_of` and the recorded classes tell of each image."""
    config = {key: value for key, value in (parts.get("config") or {}).items() if key != "images"}
    reads = [key for key in parts.get("reads") or {} if not key.endswith(("/images", "/labels"))]
    return {**parts, "config": config, "reads": reads}


def source_of(sample: Sample, allowed: Sequence[int] | None) -> str | None:
    """Return a hash of what an image's mask is made from, ``None`` where the image can't be read.

    Args:
        sample: the image.
        allowed: the classes its mask may show, where that depends on its labels.
    """
    try:
        content = sha256_file(sample.image)
    except OSError:
        return None
    return hashlib.sha256(json.dumps([content, None if allowed is None else list(allowed)]).encode()).hexdigest()


def discard_outdated(
    recorded: Predicted, samples: Sequence[Sample], classes: Classes, outputs: Outputs, sources: Mapping[str, str | None]
) -> None:
    """Delete the masks of images that changed or are gone since ``images.json`` was written.

    Args:
        recorded: what it holds.
        samples, classes: what is predicted now.
        outputs: of an image.
        sources: id → what `source_of` returns now.
    """
    same_classes = recorded.classes == classes
    wanted = {sample.id for sample in samples}
    for name in {*recorded.sources, *wanted}:
        if not (same_classes and name in wanted and recorded.sources.get(name, "") == sources.get(name)):
            for path in outputs(name):
                with explain_os_errors(path):
                    path.unlink(missing_ok=True)


def failed_images(
    samples: Sequence[Sample], outputs: Outputs, errors: Mapping[str, InvalidInput], folder: Path | None
) -> dict[str, FailedImage]:
    """Return the images without masks, whichever rank worked on them.

    Args:
        samples: all images.
        outputs: of an image.
        errors: id → why, as far as this rank knows.
        folder: of the images, which their paths are shown relative to.
    """
    from wsss.data.predicted import FailedImage

    found = {}
    for sample in samples:
        if all(path.is_file() for path in outputs(sample.id)):
            continue
        file = sample.image if folder is None else sample.image.relative_to(folder)
        error = errors.get(sample.id) or _try(sample)
        found[sample.id] = FailedImage(file.as_posix(), error.message if error else "its mask was not written")
    return found


def _try(sample: Sample) -> InvalidInput | None:
    """Return why an image, which another rank worked on, can't be read."""
    from wsss.io.images import read_image

    try:
        read_image(sample.image)
    except InvalidInput as error:
        return error
    return None
