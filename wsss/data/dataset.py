"""A dataset: classes and splits, and the content hashes by which a pipeline recognises changed files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Literal

from wsss.data.classes import Classes
from wsss.data.manifest import ContentHashes
from wsss.data.sample import Remark, Sample
from wsss.data.sample_mask import load_sample_mask
from wsss.errors import InvalidInput, together
from wsss.io.rasters.pixel_values.reading import PLAIN, Reading
from wsss.io.rasters.rgb_images import read_image, size_if_readable

Kind = Literal["images", "labels", "masks"]

GROUND_TRUTH = "ground-truth masks"
OF_THE_DATASET = "masks of the dataset"
"""Supervision of networks trained on masks of a dataset: the ground truth, or ``noisy masks of the dataset``."""

THREADS = 4
"""Number of files decoded at a time: a large photograph takes 100 MB."""


@dataclass(frozen=True)
class Dataset:
    """A dataset: its classes and its splits.

    Args:
        name: shown in messages and reports.
        classes: see `Classes`.
        splits: split name → samples, in order.
        missing: ids of samples without an image file; empty unless the dataset was opened as incomplete.
        cache: file of content hashes, keyed by size, times and inode, so that a large dataset is hashed once.
        image_root: folder that contains the images, if there is one; image names in exports are relative to it.
        remarks: remarks for the user, for example on unused files.
        reading: how its images are converted to 8-bit RGB, as in each `Sample`.
        mask_kinds: split name → kind of its masks, such as ``noisy``; splits with ground truth are absent.
    """

    name: str
    root: Path
    classes: Classes
    splits: Mapping[str, tuple[Sample, ...]]
    missing: frozenset[str] = frozenset()
    cache: Path | None = field(default=None, compare=False)
    image_root: Path | None = field(default=None, compare=False)
    remarks: tuple[Remark, ...] = field(default=(), compare=False)
    reading: Reading = PLAIN
    mask_kinds: Mapping[str, str] = field(default_factory=dict)

    def read_with(self, reading: Reading) -> Dataset:
        """Return the dataset with another conversion of its images to 8-bit RGB."""
        splits = {
            name: tuple(replace(sample, reading=reading) for sample in samples) for name, samples in self.splits.items()
        }
        return replace(self, splits=splits, reading=reading)

    def split(self, name: str) -> tuple[Sample, ...]:
        """Return the samples of one split.

        Raises:
            InvalidInput: unknown or empty split.
        """
        if name not in self.splits:
            raise InvalidInput("unknown split", subject=self.root, found=name, allowed=self.splits)
        if not self.splits[name]:
            raise InvalidInput(f"split {name!r} is empty", subject=self.root)
        return self.splits[name]

    def samples(self, splits: Sequence[str]) -> tuple[Sample, ...]:
        """Return the samples of several splits in order, without duplicate ids."""
        return tuple({sample.id: sample for name in splits for sample in self.split(name)}.values())

    def all_samples(self) -> Iterator[Sample]:
        """Yield the samples of all splits; ids may occur in several."""
        return chain.from_iterable(self.splits.values())

    def mask_supervision(self, split: str) -> str:
        """Return the supervision of a network trained on the masks of a split: ``noisy masks of the dataset``, …."""
        kind = self.mask_kinds.get(split)
        return GROUND_TRUTH if kind is None else f"{kind} {OF_THE_DATASET}"

    def fingerprint(self, split: str, kind: Kind) -> str:
        """Return a SHA-256 over the ids of a split and the content of its images, labels or masks."""
        samples = self.split(split)
        digest = hashlib.sha256(repr((kind, self.classes.to_json())).encode())
        if kind == "images" and self.reading != PLAIN:
            digest.update(repr(sorted(self.reading.to_json().items())).encode())
        if kind == "labels":
            for sample in samples:
                digest.update(repr((sample.id, sample.labels, *((sample.unknown,) if sample.unknown else ()))).encode())
            return digest.hexdigest()
        paths = [self._image(sample) if kind == "images" else sample.mask for sample in samples]
        hashes = ContentHashes(self.cache)
        present = list({path: None for path in paths if path is not None})  # one file may have the masks of many images
        content = dict(zip(present, hashes.of_many(present), strict=True))
        hashes.save()
        for sample, path in zip(samples, paths, strict=True):
            values = _mask_identity(sample) if kind == "masks" else ()
            digest.update(repr((sample.id, path and content[path], *values)).encode())
        return digest.hexdigest()

    def read_split(self, split: str, kind: Kind) -> None:
        """Decode all images of a split, or validate all its masks; labels were validated when the dataset was opened.

        Raises:
            InvalidInput: names all unreadable files, and masks with unknown values or not of the size of their image.
        """
        if kind == "labels":
            return
        samples = [sample for sample in self.split(split) if sample.id not in self.missing]
        with ThreadPoolExecutor(THREADS) as pool:  # decoding releases the GIL
            errors = [error for error in pool.map(lambda sample: self._read_error(sample, kind), samples) if error]
        if errors:
            raise together(errors, len(samples), f"{kind} of split {split!r} are unreadable")

    def _read_error(self, sample: Sample, kind: Kind) -> InvalidInput | None:
        try:
            if kind == "images":
                read_image(*sample.source)
            elif sample.mask is not None:  # the size of an unreadable image is reported with the images
                load_sample_mask(sample, self.classes, size=size_if_readable(*sample.source))
        except InvalidInput as error:
            return error
        return None

    def _image(self, sample: Sample) -> Path | None:
        return None if sample.id in self.missing else sample.image


def _mask_identity(sample: Sample) -> tuple[object, ...]:
    """Return everything besides the content of its file that determines the pixels of a mask."""
    values = () if sample.mask_values is None else (sample.mask_values.identity,)
    return values if sample.drawing is None else (*values, sample.drawing.identity)
