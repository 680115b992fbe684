"""Draw the masks of a source one by one; some checks are only possible after the last one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsss.data.classes import Classes, renumber_as
from wsss.data.corrections.drawing_rules import AnnotatedImage, DrawingRules, drawn_mask
from wsss.data.masks.encodings import MIN_IGNORED, Shown, shown
from wsss.errors import InvalidInput, counted, listing, together
from wsss.io.rasters.label_masks import IGNORE, value_counts
from wsss.io.rasters.rgb_images import image_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.data.mask_values import MaskValues
    from wsss.data.sample import Sample


@dataclass
class Drawing:
    """The masks of a source; only one is in memory at a time.

    Args:
        path: the source, for messages.
        advance: called with the number of images done.
        invisible: locations of the regions that cover no pixel, once the masks are drawn.
        excluded: ids of the images whose masks show a class that their labels exclude, once the masks are drawn.
    """

    path: Path
    chosen: Sequence[tuple[AnnotatedImage, Sample]]
    classes: Classes
    rules: DrawingRules
    advance: Callable[[int], None]
    invisible: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)

    def masks(self) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Yield id and mask ``(H, W)`` of each image.

        Raises:
            InvalidInput: after the last one, if some are invalid; lists all of them. Or the masks contain
                only 0 and 255, so that all objects would be unlabelled; or some of them do and others show the class.
        """
        errors: list[InvalidInput] = []
        seen: list[Shown] = []
        for image, sample in self.chosen:
            try:
                mask = self._draw(image, sample)
            except InvalidInput as error:
                errors.append(error if sample.id in str(error.subject) else error.within(f"image {sample.id}"))
            else:
                seen.append(shown(mask))
                yield sample.id, mask
            self.advance(1)
        if errors:
            raise together(errors, len(self.chosen), "masks cannot be imported", hint="Nothing was imported.")
        if all(image.values for image, _ in self.chosen):
            self._check_encoding(seen)

    def _draw(self, image: AnnotatedImage, sample: Sample) -> NDArray[np.uint8]:
        mask, invisible = drawn_mask(image, image_size(*sample.source), self.classes, self.rules)
        if (mask == IGNORE).all():
            raise InvalidInput(
                "no labelled pixel: all are 255, which means unlabelled",
                subject=image.where,
                hint="Draw at least one region, or leave the image out (--ids).",
            )
        if image.as_written and sample.mask_values is not None:
            _require_one_meaning(mask, self.classes, sample.mask_values, image)
        self.invisible += invisible
        if _shows_excluded(mask, sample):
            self.excluded.append(sample.id)
        return mask

    def _check_encoding(self, seen: Sequence[Shown]) -> None:
        """Reject masks in which 255 probably means a class, as `wsss.data.masks.encodings` does for ground truth.

        Raises:
            InvalidInput: no mask shows a class and some contain 255; or, with one class, masks of 0 and 255 are mixed
                with masks that show the class and contain no 255.
        """
        hint = _ignore_hint(self.chosen[0][0].values)
        ignored = sum(mask.ignored > 0 for mask in seen)
        with_class = [mask for mask in seen if mask.a_class]
        if ignored and not with_class:
            raise InvalidInput(
                f"no pixel of any mask has a foreground class, and {ignored} of {len(seen)} masks contain 255, which "
                "means unlabelled",
                subject=self.path,
                hint=hint,
            )
        doubtful = [
            image.name
            for (image, sample), mask in zip(self.chosen, seen, strict=True)
            if sample.labels != () and not mask.a_class and mask.ignored > MIN_IGNORED
        ]
        one_class = len(self.classes) == 2 and not self.classes.other
        if one_class and doubtful and not any(mask.ignored for mask in with_class):
            raise InvalidInput(
                f"{counted(len(doubtful), 'mask contains', 'masks contain')} only 0 and 255, which means unlabelled: "
                f"{listing(doubtful, limit=3)}. The {len(with_class)} that show {self.classes.foreground[0]} contain "
                "no 255",
                subject=self.path,
                hint=hint,
            )


def _shows_excluded(mask: NDArray[np.uint8], sample: Sample) -> bool:
    """Return whether a mask of class indices shows a class that the labels of its image exclude."""
    if sample.labels is None:
        return False
    allowed = {0, IGNORE, *sample.labels, *sample.unknown}
    return not allowed.issuperset(np.flatnonzero(value_counts(mask)).tolist())


def _require_one_meaning(mask: NDArray[np.uint8], classes: Classes, truth: MaskValues, image: AnnotatedImage) -> None:
    """Require that a mask shows the same classes whether it has the values of masks by wsss or of the ground truth.

    Args:
        mask: ``(H, W)`` class indices, read as a mask by wsss.
        truth: meaning of the values of the ground truth.

    Raises:
        InvalidInput: all values occur in the ground truth, and one of them means another class there.
    """
    indices = np.unique(mask)
    if not any(IGNORE in values for values in (*truth.classes, truth.ignored)):
        indices = indices[indices != IGNORE]  # unlabelled pixels, which may be in masks of either kind
    values = classes.decode(indices)
    try:
        meant = truth.encode(values[None], where=image.where)[0]
    except InvalidInput:  # the mask has values that the ground truth lacks
        return
    for value, index, other in zip(values.tolist(), indices.tolist(), meant.tolist(), strict=True):
        if index != other:
            names = {**dict(enumerate(classes.names)), IGNORE: "unlabelled"}
            problem = f"means {names[index]} in masks written by wsss, but {names[other]} in the ground truth"
            stated = (
                "State the classes of the values in classes.txt beside the masks, or of their colours in labelmap.txt."
            )
            hint = _ignore_hint(image.values) if index == IGNORE else stated  # classes.txt cannot name 255
            raise InvalidInput(f"the value {value} {problem}", subject=image.where, hint=hint)


def _ignore_hint(values: Mapping[str, int]) -> str:
    """Return the hint for masks in which 255 may mean a class.

    Args:
        values: class name → mask value.
    """
    return (
        f"If 255 means a class, {renumber_as(values)}. If it means unlabelled, define the colours of the masks in "
        "labelmap.txt (background:0,0,0:: and ignore:255,255,255:: for black and white)."
    )
