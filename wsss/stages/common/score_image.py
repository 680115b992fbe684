"""One image of a `score` stage: its mask and ground truth read and counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wsss.errors import InvalidInput
from wsss.stages.common.mask_inputs import Look, look_at

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsss.data.masks.encodings import Shown
    from wsss.data.masks.mask_values import MaskValues
    from wsss.data.sample import Classes, Sample
    from wsss.stages.score import ScoreConfig


@dataclass(frozen=True)
class Pair:
    """An image with ground truth, and the mask to score."""

    sample: Sample
    pred: Path

    @property
    def id(self) -> str:
        """The image's id."""
        return self.sample.id


class Counted(NamedTuple):
    """What one image gives.

    Attributes:
        confusion: its matrix.
        others: pixels of the mask per value of the classes left out.
        look: what the mask shows, with the remarks on mask and ground truth.
        truth: what the ground truth shows.
        structure: what `wsss.metrics.structure.structure_scores` says.
    """

    confusion: list[list[int]]
    others: list[int]
    look: Look
    truth: Shown
    structure: dict[int, list[float]]


def count(pair: Pair, *, classes: Classes, config: ScoreConfig) -> Counted:
    """Count the pixels of one image.

    Raises:
        InvalidInput: mask or ground truth can't be read, are of different sizes, or have values without a meaning.
    """
    import numpy as np

    from wsss.data.masks.encodings import shown
    from wsss.data.sample import load_truth, mask_remarks, read_truth
    from wsss.io.rasters.label_masks import load_mask
    from wsss.io.rasters.rgb_images import image_size
    from wsss.metrics.overlap import confusion_matrix
    from wsss.metrics.structure import structure_scores

    sample, path = pair.sample, pair.pred
    truth, remarks = load_truth(sample, classes)
    values = _values_of_masks(sample, classes, config)
    mask, conversion = load_mask(path, grey=values is not classes)
    if mask.shape != truth.shape:  # the image's own size tells which of the two is wrong
        size = image_size(sample.image)
        read_truth(sample, classes, size=size)
        load_mask(path, size=size)
    found = np.bincount(mask.ravel(), minlength=256)
    prediction = _encode(values, mask, path, classes, config)
    confusion = confusion_matrix(prediction, truth, len(classes), unsure=config.unsure)
    structure = {}
    if config.groups:
        skip = config.unsure == "skip"
        options: dict[str, Any] = {"window": config.window, "frame": config.frame, "skip_unsure": skip}
        options["transposed"] = config.transposed
        structure = structure_scores(prediction, truth, len(classes), config.groups, **options)
    others = [int(found[value]) if values is classes else 0 for value in sorted(classes.other)]
    look = look_at(prediction, (*remarks, *mask_remarks(path, mask, conversion, values)))
    return Counted(confusion.tolist(), others, look, shown(truth), structure)


def _values_of_masks(sample: Sample, classes: Classes, config: ScoreConfig) -> Classes | MaskValues:
    """Return what encodes the masks to score."""
    from wsss.data.class_list import LabelNames
    from wsss.data.masks.mask_values import resolve

    if config.pred_mask_values is not None:
        names = LabelNames(classes, {name: index for index, name in enumerate(classes.names) if index})
        return resolve(config.pred_mask_values, names, where="pred_mask_values")
    return sample.mask_encoder(classes) if config.pred_values == "dataset" else classes


def _encode(
    values: Classes | MaskValues, mask: NDArray[np.uint8], path: Path, own: Classes, config: ScoreConfig
) -> NDArray[np.uint8]:
    import numpy as np

    from wsss.data.masks.mask_values import smoothing_hint, unknown_values
    from wsss.data.sample import Classes

    try:
        if isinstance(values, Classes):
            return values.encode(mask, where=str(path))
        return values.encode(mask, where=str(path), ids=[value for of_class in own.values for value in of_class])
    except InvalidInput as error:
        found = [int(value) for value in np.unique(mask) if value]
        legal = [*own.other, *(value for of_class in own.values for value in of_class)]
        named = name_values(own, found[:8])
        smoothed = smoothing_hint(unknown_values(mask, np.isin(np.arange(256), [0, 255, *legal])))
        hint = error.hint or f"{smoothed}Say what the values mean: {named}"
        if config.pred_values == "dataset":
            hint = "Leave --pred-values dataset out if the masks have the values that wsss writes."
        raise InvalidInput(error.message, hint=hint) from error


def name_values(classes: Classes, values: Sequence[int] = (255,)) -> str:
    """Return the option that tells what values mean in the masks to score; of several classes a word stands for one."""
    from wsss.data.masks.mask_values import as_key
    from wsss.io.rasters.label_masks import BACKGROUND

    name = classes.foreground[0] if len(classes) == 2 or len(values) == 1 else "CLASS"
    key, _, named = as_key([(0, BACKGROUND), *((value, name) for value in values)]).partition(": ")
    return f"--set 'pred_{key}={named}' (pred_mask_values in a pipeline)."
