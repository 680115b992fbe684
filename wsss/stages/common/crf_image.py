"""The dense CRF on one image: on seeds from its maps, on its class probabilities, or on its mask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.data.artifacts import read_class_probabilities, read_maps
from wsss.data.corrections.corrected_pixels import overridden
from wsss.io.files.stage_files import mask_path
from wsss.io.rasters.label_masks import foreground_values, write_mask
from wsss.io.rasters.rgb_images import read_image
from wsss.io.rasters.working_size import working_size
from wsss.refine.cleaning import CleaningConfig, clean
from wsss.refine.dense_crf import CrfConfig, ImageCrf, refine_labels, refine_scores
from wsss.refine.policyfile import read_policy
from wsss.refine.thresholds import make_seeds, merge

if TYPE_CHECKING:
    from wsss.data.classes import Classes
    from wsss.data.corrections.correction_folder import Corrections
    from wsss.data.sample import Sample


def refine_image(
    sample: Sample,
    *,
    out: Path,
    masks: Path,
    cams: Path | None,
    config: CrfConfig,
    cleaning: CleaningConfig,
    classes: Classes,
    corrections: Corrections | None,
) -> None:
    """Write the refined mask of an image.

    With ``cams``, the mask itself is not read: seeds are made again from the maps, with the background policy of
    the masks (``policy.json``). Otherwise the class probabilities beside the masks are refined (``unary: softmax``), or
    the mask itself (``unary: labels``).

    Args:
        sample: the image, with its input mask as ``mask`` (see `with_masks`).
        masks: folder of the input masks.
        cams: folder of the maps that the masks come from, if any.
        cleaning: removal of small components afterwards.
        corrections: corrected masks, whose pixels are certain.
    """
    from wsss.data.sample_mask import read_sample_mask

    image = read_image(*sample.source)
    corrected = None if corrections is None else corrections.read(sample.id, (image.shape[0], image.shape[1]))
    if cams is not None:
        refined = _refine_seeds(image, sample, masks, cams, config, classes, corrected)
    elif config.unary == "softmax":
        refined = _refine_probabilities(
            image, read_class_probabilities(masks, sample, classes, size=image.shape[:2]), config, corrected
        )
    else:
        refined = _refine_mask(image, read_sample_mask(sample, classes, size=image.shape[:2]), config, corrected)
    write_mask(mask_path(out, sample.id), classes.decode(overridden(clean(refined, cleaning), corrected)))


def _refine_seeds(
    image: Any, sample: Sample, masks: Path, cams: Path, config: CrfConfig, classes: Classes, corrected: Any
) -> Any:
    """Refine with the upper and with the lower background score, and merge the results."""
    loaded = read_maps(cams, sample, classes, size=image.shape[:2])
    policy, thresholds = read_policy(masks, loaded.classes)
    maps = loaded.at(working_size(loaded.size, config.max_side))
    seeds = make_seeds(policy, maps, loaded.classes, thresholds)
    added = [index for index in _classes_in(corrected) if index not in seeds.classes]  # corrected masks show them
    values = np.asarray((0, *seeds.classes, *added), np.uint8)
    certain = _positions(corrected, values)
    crf = ImageCrf(image, config)

    def labels(background: Any) -> Any:
        absent = np.zeros((len(added), *background.shape), np.float32)
        scores = np.concatenate([background[None], seeds.maps, absent])
        if config.unary == "softmax":
            return values[crf.refine_scores(scores, certain=certain)]
        return values[crf.refine_labels(scores.argmax(0), len(values), certain=certain)]

    upper = labels(seeds.upper)
    return upper if seeds.certain else merge(upper, labels(seeds.lower))


def _classes_in(corrected: Any) -> list[int]:
    """Return the foreground classes of a corrected mask; none without one."""
    return [] if corrected is None else foreground_values(corrected)


def _positions(corrected: Any, values: Any) -> Any:
    """Return a corrected mask with the position of each class in ``values``, 255 elsewhere; ``None`` without one."""
    if corrected is None:
        return None
    positions = np.full(256, 255, np.uint8)
    positions[values] = np.arange(len(values))
    return positions[corrected]


def _refine_probabilities(image: Any, probabilities: Any, config: CrfConfig, corrected: Any) -> Any:
    return refine_scores(image, probabilities.astype(np.float32), config, certain=corrected).astype(np.uint8)


def _refine_mask(image: Any, mask: Any, config: CrfConfig, corrected: Any) -> Any:
    present = sorted({0, *foreground_values(mask), *_classes_in(corrected)})
    values = np.asarray(present, np.uint8)
    positions = np.full(256, len(present), np.uint8)
    positions[values] = np.arange(len(present))
    certain = _positions(corrected, values)
    return values[refine_labels(image, positions[mask], len(present), config, uncertain=len(present), certain=certain)]
