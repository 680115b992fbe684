"""Reading every image or mask of some samples once: what is damaged is found before anything is made from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from wsss.data.sample import Classes, Kind, Sample, load_truth
from wsss.errors import InvalidInput, together
from wsss.io.rasters.rgb_images import read_image, size_if_readable

if TYPE_CHECKING:
    from wsss.data.sample import Dataset

THREADS = 4
"""Files that are decoded at a time: few, since a large photograph takes 100 MB."""


def read_split(data: Dataset, split: str, kind: Kind) -> None:
    """Decode all images of a split, or validate all its ground-truth masks; labels are read when a dataset is opened.

    Raises:
        InvalidInput: names the files that can't be read, and masks of another size than their image or with values
            that stand for no class.
    """
    samples = [sample for sample in data.split(split) if sample.id not in data.missing]  # those are known to be missing
    if kind == "labels":
        return
    errors = _errors(_image if kind == "images" else partial(_mask, classes=data.classes), samples)
    if errors:
        raise together(errors, len(samples), f"{kind} of split {split!r} can't be read")


def _errors(work: Callable[[Sample], None], samples: Sequence[Sample]) -> list[InvalidInput]:
    with ThreadPoolExecutor(THREADS) as pool:  # decoding leaves Python's lock
        return [error for error in pool.map(partial(_error, work), samples) if error is not None]


def _error(work: Callable[[Sample], None], sample: Sample) -> InvalidInput | None:
    try:
        work(sample)
    except InvalidInput as error:
        return error
    return None


def _image(sample: Sample) -> None:
    read_image(sample.image)


def _mask(sample: Sample, *, classes: Classes) -> None:
    if sample.mask is not None:
        load_truth(sample, classes, size=size_if_readable(sample.image))  # a damaged one is found with the images
