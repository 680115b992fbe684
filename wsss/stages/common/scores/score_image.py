"""Pixel counts and structure scores of one image, for `score`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from wsss.errors import InvalidInput
from wsss.stages.common.input_masks.mask_inputs import MaskSummary, summarise_mask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsss.data.classes import Classes
    from wsss.data.mask_values import MaskValues
    from wsss.data.masks.encodings import Shown
    from wsss.data.sample import Sample
    from wsss.metrics.structure import Group


class ScoreSettings(Protocol):
    """The settings of `wsss.stages.score` that determine the counts of an image."""

    uncertain: Literal["miss", "skip", "background"]
    pred_values: Literal["wsss", "dataset"]
    pred_mask_values: dict[int, str] | None
    window: int
    frame: Literal["own-max", "none"]
    transposed: bool

    @property
    def groups(self) -> tuple[Group, ...]:
        """Groups of structure scores to compute."""


@dataclass(frozen=True)
class Pair:
    """An image with ground truth, and its predicted mask."""

    sample: Sample
    pred: Path

    @property
    def id(self) -> str:
        """Id of the image."""
        return self.sample.id


class Counted(NamedTuple):
    """Counts of one image.

    Attributes:
        cells: the non-zero cells of its confusion matrix, see `wsss.io.confusions.cells_of`.
        others: pixels of the mask per value of the classes left out, values ascending.
        summary: summary of the predicted mask, with remarks on mask and ground truth.
        truth: encoding shown by the ground truth.
        structure: see `wsss.metrics.structure.structure_scores`.
    """

    cells: NDArray[np.int64]
    others: list[int]
    summary: MaskSummary
    truth: Shown
    structure: dict[int, list[float]]


def count(pair: Pair, *, classes: Classes, config: ScoreSettings) -> Counted:
    """Compare the predicted mask of one image with its ground truth.

    Raises:
        InvalidInput: a mask cannot be read, the sizes differ, or a value has no meaning.
    """

    from wsss.data.masks.encodings import shown
    from wsss.data.sample_mask import load_sample_mask, mask_remarks, read_sample_mask
    from wsss.io.confusions import cells_of
    from wsss.io.rasters.label_masks import load_mask, value_counts
    from wsss.io.rasters.rgb_images import image_size
    from wsss.metrics.overlap import confusion_matrix

    sample, path = pair.sample, pair.pred
    truth, remarks = load_sample_mask(sample, classes)
    values = _values_of_masks(sample, classes, config)
    mask, conversion = load_mask(path, grey=values is not classes)
    if mask.shape != truth.shape:  # the size of the image decides which of the two is wrong
        size = image_size(*sample.source)
        read_sample_mask(sample, classes, size=size)
        load_mask(path, size=size)
    histogram = value_counts(mask)
    others = [int(histogram[value]) if values is classes else 0 for value in sorted(classes.other)]
    prediction = _encode(values, mask, path, classes, config)
    confusion = confusion_matrix(prediction, truth, len(classes), uncertain=config.uncertain)
    summary = summarise_mask(prediction, (*remarks, *mask_remarks(path, mask, conversion, values)))
    return Counted(
        cells_of(confusion), others, summary, shown(truth), _structure(prediction, truth, len(classes), config)
    )


def _structure(
    prediction: NDArray[np.uint8], truth: NDArray[np.uint8], classes: int, config: ScoreSettings
) -> dict[int, list[float]]:
    from wsss.metrics.structure import structure_scores

    if not config.groups:
        return {}
    options: dict[str, Any] = {"window": config.window, "frame": config.frame, "transposed": config.transposed}
    return structure_scores(
        prediction, truth, classes, config.groups, skip_uncertain=config.uncertain == "skip", **options
    )


def _values_of_masks(sample: Sample, classes: Classes, config: ScoreSettings) -> Classes | MaskValues:
    """Return the encoding of the predicted mask."""
    from wsss.data.class_list import LabelNames
    from wsss.data.mask_values import resolve

    if config.pred_mask_values is not None:
        names = LabelNames(classes, {name: index for index, name in enumerate(classes.names) if index})
        return resolve(config.pred_mask_values, names, where="pred_mask_values")
    return sample.mask_encoder(classes) if config.pred_values == "dataset" else classes


def _encode(
    values: Classes | MaskValues, mask: NDArray[np.uint8], path: Path, own: Classes, config: ScoreSettings
) -> NDArray[np.uint8]:
    import numpy as np

    from wsss.data.classes import Classes, unknown_values
    from wsss.data.mask_values import smoothing_hint

    class_values = [value for of_class in own.values for value in of_class]
    try:
        if isinstance(values, Classes):
            return values.encode(mask, where=str(path))
        return values.encode(mask, where=str(path), ids=class_values)
    except InvalidInput as error:
        if config.pred_values == "dataset":
            raise error.with_hint(
                "Omit --pred-values dataset if the masks have the values that wsss writes."
            ) from error
        if error.hint:
            raise
        labels = [int(value) for value in np.unique(mask) if value]
        legal = np.isin(np.arange(256), [0, 255, *own.other, *class_values])
        smoothed = smoothing_hint(unknown_values(mask, legal))
        raise error.with_hint(f"{smoothed}Name the values: {name_values(own, labels[:8])}") from error


def name_values(classes: Classes, values: Sequence[int] = (255,)) -> str:
    """Return the option that names values of predicted masks, with a placeholder for one of several classes."""
    from wsss.data.mask_values import as_key
    from wsss.io.rasters.label_masks import BACKGROUND

    name = classes.foreground[0] if len(classes) == 2 or len(values) == 1 else "CLASS"
    key, _, named = as_key([(0, BACKGROUND), *((value, name) for value in values)]).partition(": ")
    return f"--set 'pred_{key}={named}' (pred_mask_values in a pipeline)."
