"""Draw the masks of a source one by one; some checks are only possible after the last one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wsss.data.classes import Classes, renumber
from wsss.data.corrections.drawing_rules import AnnotatedImage, DrawingRules, drawn_mask
from wsss.errors import InvalidInput, together
from wsss.io.rasters.label_masks import IGNORE
from wsss.io.rasters.rgb_images import image_size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsss.data.sample import Sample


@dataclass
class Drawing:
    """The masks of a source; only one is in memory at a time.

    Args:
        path: the source, for messages.
        advance: called with the number of images done.
        invisible: locations of the regions that cover no pixel, once the masks are drawn.
    """

    path: Path
    chosen: Sequence[tuple[AnnotatedImage, Sample]]
    classes: Classes
    rules: DrawingRules
    advance: Callable[[int], None]
    invisible: list[str] = field(default_factory=list)

    def masks(self) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Yield id and mask ``(H, W)`` of each image.

        Raises:
            InvalidInput: after the last one, if some are invalid; lists all of them. Or the masks contain
                only 0 and 255, so that all objects would be unlabelled.
        """
        errors: list[InvalidInput] = []
        ignored, shown = 0, False
        for image, sample in self.chosen:
            try:
                mask = self._draw(image, sample)
            except InvalidInput as error:
                errors.append(error if sample.id in str(error.subject) else error.within(f"image {sample.id}"))
            else:
                ignored += bool((mask == IGNORE).any())
                shown = shown or bool(((mask > 0) & (mask < IGNORE)).any())
                yield sample.id, mask
            self.advance(1)
        if errors:
            raise together(errors, len(self.chosen), "masks cannot be imported", hint="Nothing was imported.")
        if ignored and not shown and all(image.by_value for image, _ in self.chosen):
            raise self._binary(ignored)

    def _draw(self, image: AnnotatedImage, sample: Sample) -> NDArray[np.uint8]:
        mask, invisible = drawn_mask(image, image_size(*sample.source), self.classes, self.rules)
        if (mask == IGNORE).all():
            raise InvalidInput(
                "no labelled pixel: all are 255, which means unlabelled",
                subject=image.where,
                hint="Draw at least one region, or leave the image out (--ids).",
            )
        self.invisible += invisible
        return mask

    def _binary(self, ignored: int) -> InvalidInput:
        return InvalidInput(
            f"no pixel of any mask has a foreground class, and {ignored} of {len(self.chosen)} masks contain 255, "
            "which means unlabelled",
            subject=self.path,
            hint=f"If 255 means a class, {renumber(self.classes)}.",
        )
