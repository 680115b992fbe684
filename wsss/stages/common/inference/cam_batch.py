"""Class activation maps of a batch of images, for the classes that get a map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from wsss.io.files.stage_files import cam_path
from wsss.models.attribution.config import CamMethod, PlainCam
from wsss.models.config import InferencePrecision

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from wsss.data.sample import Sample
    from wsss.models.classifier import CAMClassifier
    from wsss.stages.common.inference.cam_size import CamSize

PLAIN = PlainCam().name
"""Name of the method without gradients, computed by `wsss.models.attribution.multiscale_cam`."""


class CamSettings(Protocol):
    """The settings of `wsss.stages.cam` that determine the maps of an image."""

    method: CamMethod
    scales: tuple[float, ...]
    flip: bool
    stride: int
    activation: Literal["relu", "sigmoid"]
    normalise: Literal["max", "minmax"]
    classes: Literal["labels", "predicted"]
    threshold: float
    centre_prior: float
    precision: InferencePrecision


def write_maps(
    model: CAMClassifier, batch: Sequence[Sample], config: CamSettings, input_size: CamSize, out: Path
) -> None:
    """Write the maps of images of one size; ``input_size`` is that of the network's input."""
    from wsss.io.rasters.cams import Cams, write_cams
    from wsss.io.rasters.rgb_images import read_images
    from wsss.models.attribution.multiscale_cam import normalise, with_centre_prior
    from wsss.models.segmentation_networks.inference import require_finite

    images = read_images([sample.source for sample in batch])
    maps, classes = _maps_and_classes(model, images, batch, config, input_size)
    require_finite(maps, "class maps")
    row = {index: number for number, index in enumerate(_union(classes))}
    for sample, of_image, indices in zip(batch, with_centre_prior(maps, config.centre_prior), classes, strict=True):
        chosen = normalise(of_image[[row[index] for index in indices]], config.normalise).cpu().numpy()
        size = (images.shape[1], images.shape[2])
        write_cams(cam_path(out, sample.id), Cams(chosen, indices, size))


def _union(classes: Sequence[Sequence[int]]) -> list[int]:
    """Return the classes of any image, ascending."""
    return sorted(set().union(*classes))


def _maps_and_classes(
    model: CAMClassifier, images: NDArray[np.uint8], batch: Sequence[Sample], config: CamSettings, input_size: CamSize
) -> tuple[Tensor, list[tuple[int, ...]]]:
    """Compute the maps that are written.

    Returns:
        The maps of the `_union` of classes ``(B, K', h, w)``, not normalised, and the classes (indices ≥ 1) that get a
        map in each image.
    """
    import numpy as np
    import torch

    from wsss.models.attribution.maps import attribution_maps
    from wsss.models.attribution.multiscale_cam import class_maps

    classes = [sample.labels or () for sample in batch]
    views: dict[str, Any] = {key: getattr(config, key) for key in ("scales", "flip", "stride")}
    views["max_side"] = input_size.max_side

    def present(probabilities: Tensor) -> list[int]:
        """Determine the classes of each image; return the columns of all."""
        if config.classes == "predicted":
            above = probabilities.cpu().numpy() > config.threshold
            classes[:] = [tuple(int(k) + 1 for k in np.flatnonzero(row)) for row in above]
        return [index - 1 for index in _union(classes)] if config.method.name == PLAIN else []

    if config.method.name == PLAIN or config.classes == "predicted":
        activation, precision = config.activation, config.precision
        chosen: dict[str, Any] = {"activation": activation, "precision": precision, "tiling": input_size.tiling}
        chosen["clamp"] = clamping(config.method, classes)
        raw = class_maps(model, images, select=present, **chosen, **views)
        if config.method.name == PLAIN:
            return raw.maps, classes
    requested = torch.zeros(len(batch), model.head.out_channels, dtype=torch.bool)
    for row, indices in zip(requested, classes, strict=True):
        row[[index - 1 for index in indices]] = True
    return attribution_maps(model, images, requested, config.method, **views), classes


def clamping(method: CamMethod, classes: Sequence[tuple[int, ...]]) -> Callable[[], Sequence[bool]] | None:
    """Return which images are clamped, as a function to call once the classes of all images are known."""
    if not isinstance(method, PlainCam) or method.clamp_weights == "never":
        return None
    if method.clamp_weights == "always":
        return lambda: [True] * len(classes)
    return lambda: [len(of_image) == 1 for of_image in classes]
