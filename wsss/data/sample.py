"""What a dataset is: samples, splits, and classes with the mask values that stand for them.

Inside the package classes are contiguous indices: 0 is the background, 1 … K the foreground classes, 255 is ignored
(`IGNORE`). On disk masks keep the *dataset's own* values (VOC's ids, say), ours as well as theirs, so that a mask
we write can be laid beside the ground truth by any tool. The exception are datasets whose masks have other values than
the ids of their classes (0 and 255, as TopoMortar's): there `Sample.mask_values` tells how a sample's own mask is read,
and in ours 255 means "ignore".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from wsss.data.masks.mask_values import MaskValues, as_key, pixels_of_values, smoothing_hint, unknown_values
from wsss.errors import InvalidInput, closest, listing
from wsss.io.rasters.label_masks import BACKGROUND, IGNORE, load_mask

ONLY_IGNORED = "masks with ignored pixels (255) and none of a class; if 255 means a class there, name it in mask_values"

if TYPE_CHECKING:
    from numpy.typing import NDArray

Remark = tuple[str, str]
"""What is worth knowing of a file: the kind (``"masks read from …"``), and a message that names the file."""

Kind = Literal["images", "labels", "masks"]


@dataclass(frozen=True)
class Sample:
    """One image and what is known of it.

    Args:
        id: unique in the dataset; a file stem, without any folder.
        image: path of the image.
        labels: sorted indices (≥ 1) of the classes in the image, or ``None`` where no label file names it.
        mask: path of the ground-truth mask, or ``None`` where there is none.
        mask_values: what the values of ``mask`` mean, where they aren't `Classes.values`.
        unknown: sorted indices (≥ 1) of the classes that may or may not be in the image.
    """

    id: str
    image: Path
    labels: tuple[int, ...] | None = None
    mask: Path | None = None
    mask_values: MaskValues | None = None
    unknown: tuple[int, ...] = ()


@dataclass(frozen=True)
class Classes:
    """Class names, and the mask values on disk that stand for them.

    Args:
        names: ``names[0]`` is the background.
        values: per class the mask values that mean it; the first is the one written.
        other: legal mask values of classes that were left out of a subset.
        other_as: what pixels of those classes become: 0 (background) or 255 (ignore).
    """

    names: tuple[str, ...]
    values: tuple[tuple[int, ...], ...]
    other: frozenset[int] = frozenset()
    other_as: int = 0

    def __len__(self) -> int:
        return len(self.names)

    @property
    def foreground(self) -> tuple[str, ...]:
        """Names of the classes 1 … K."""
        return self.names[1:]

    def index(self, name: str) -> int:
        """Return the index (≥ 1) of a foreground class.

        Raises:
            InvalidInput: there is no such class.
        """
        if name not in self.foreground:
            raise InvalidInput(
                f"Unknown class {name!r}; the classes are {listing(self.foreground, limit=30)}"
                f"{closest(name, self.foreground)}"
            )
        return self.names.index(name)

    def encode(self, mask: NDArray[np.uint8], *, where: str) -> NDArray[np.uint8]:
        """Map a mask's values on disk to class indices.

        Args:
            mask: ``(H, W)`` uint8, values as on disk.
            where: what to call the mask in an error.

        Returns:
            ``(H, W)`` uint8, values 0 … K or 255.

        Raises:
            InvalidInput: a value stands for no class.
        """
        table, legal = self._tables()
        wrong = unknown_values(mask, legal)
        if wrong:
            ignore = "" if any(IGNORE in values for values in self.values) else " (255 = ignore)"
            raise InvalidInput(
                f"{where}: mask value {listing(wrong)} stands for no class; allowed are "
                f"{listing(np.flatnonzero(legal).tolist(), limit=30)}{ignore}."
            )
        return table[mask]

    def decode(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Map class indices (0 … K, 255) to the values written on disk; the inverse of `encode`."""
        table = np.full(256, IGNORE, np.uint8)
        for index, values in enumerate(self.values):
            table[index] = values[0]
        return table[mask]

    def in_masks_of(self, sample: Sample) -> Classes | MaskValues:
        """Return what encodes masks that have the values of a sample's own mask."""
        return self if sample.mask_values is None else sample.mask_values

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that `from_json` reads back; stored in every ``model.json``."""
        return {
            "names": list(self.names),
            "values": [list(values) for values in self.values],
            "other": sorted(self.other),
            "other_as": self.other_as,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Classes:
        """Read what `to_json` wrote.

        Raises:
            ValueError: a key is missing or of another type, a name or a mask value stands there twice, or the numbers
                of names and values differ.
        """
        from wsss.data.class_values import require_classes

        names, values, other, other_as = require_classes(value)
        return cls(names, values, other, other_as)

    def _tables(self) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        table = np.full(256, IGNORE, np.uint8)
        legal = np.zeros(256, bool)
        legal[IGNORE] = True
        for value in self.other:
            table[value], legal[value] = self.other_as, True
        for index, values in enumerate(self.values):
            for value in values:
                table[value], legal[value] = index, True
        return table, legal


@dataclass(frozen=True)
class Dataset:
    """A dataset: its classes and its splits, each a tuple of samples.

    Args:
        name: shown in messages and reports.
        root: its folder.
        classes: see `Classes`.
        splits: split name → samples, in order.
        missing: ids of the samples whose image isn't there; empty unless the dataset was opened as incomplete.
        cache: file that remembers content hashes by (size, times, inode), so that a large dataset is hashed once.
        image_root: folder that the user's names of the images are relative to, where there is one.
        remarks: what is worth knowing of the folder, beside what the log says: files that were not used.
    """

    name: str
    root: Path
    classes: Classes
    splits: Mapping[str, tuple[Sample, ...]]
    missing: frozenset[str] = frozenset()
    cache: Path | None = field(default=None, compare=False)
    image_root: Path | None = field(default=None, compare=False)
    remarks: tuple[Remark, ...] = field(default=(), compare=False)

    def split(self, name: str) -> tuple[Sample, ...]:
        """Return the samples of one split.

        Raises:
            InvalidInput: there is no such split, or it is empty.
        """
        if name not in self.splits:
            raise InvalidInput(
                f"{self.root}: no split {name!r}; there are {listing(self.splits, limit=20)}"
                f"{closest(name, self.splits)}"
            )
        if not self.splits[name]:
            raise InvalidInput(f"{self.root}: split {name!r} is empty.")
        return self.splits[name]

    def samples(self, splits: Sequence[str]) -> tuple[Sample, ...]:
        """Return the samples of several splits in order, each id once."""
        return tuple({sample.id: sample for name in splits for sample in self.split(name)}.values())

    def fingerprint(self, split: str, kind: Kind) -> str:
        """Return a SHA-256 over the ids of a split and the content of its images, labels or masks."""
        from wsss.data.manifest import ContentHashes

        samples = self.split(split)
        digest = hashlib.sha256(repr((kind, self.classes.to_json())).encode())
        if kind == "labels":
            for sample in samples:
                digest.update(repr((sample.id, sample.labels, *((sample.unknown,) if sample.unknown else ()))).encode())
            return digest.hexdigest()
        paths = [self._image(sample) if kind == "images" else sample.mask for sample in samples]
        hashes = ContentHashes(self.cache)
        present = [path for path in paths if path is not None]
        known = dict(zip(present, hashes.of_many(present), strict=True))
        hashes.save()
        for sample, path in zip(samples, paths, strict=True):
            own = (sample.mask_values.identity,) if kind == "masks" and sample.mask_values is not None else ()
            digest.update(repr((sample.id, path and known[path], *own)).encode())
        return digest.hexdigest()

    def read_split(self, split: str, kind: Kind) -> None:
        """Read all images or masks of a split once.

        Raises:
            InvalidInput: see `wsss.data.checks.readable.read_split`.
        """
        from wsss.data.checks.readable import read_split

        read_split(self, split, kind)

    def _image(self, sample: Sample) -> Path | None:
        return None if sample.id in self.missing else sample.image


def require_labels(samples: Sequence[Sample]) -> None:
    """Make certain that each sample has image-level labels (an empty tuple, no class of interest, is one).

    Raises:
        InvalidInput: some have none; names them.
    """
    missing = [sample.id for sample in samples if sample.labels is None]
    if missing:
        raise InvalidInput(
            f"{len(missing)} of {len(samples)} images have no image-level labels: {listing(missing)}.",
            hint="Add them to the label file, or take them out of the split. `wsss data check` lists all.",
        )


def read_truth(sample: Sample, classes: Classes, *, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Read a sample's ground-truth mask as ``(H, W)`` class indices (255 = ignore).

    Raises:
        InvalidInput: there is none, it is broken, of another size than ``size``, or holds an unknown value.
    """
    return load_truth(sample, classes, size=size)[0]


def load_truth(
    sample: Sample, classes: Classes, *, size: tuple[int, int] | None = None
) -> tuple[NDArray[np.uint8], tuple[Remark, ...]]:
    """Read a sample's ground-truth mask, with what is worth knowing of how it was read.

    Returns:
        ``(H, W)`` class indices (255 = ignore), and remarks on converted pixels and on values that count as another
        class.

    Raises:
        InvalidInput: see `read_truth`.
    """
    path, values = sample.mask, classes.in_masks_of(sample)
    if path is None:
        raise InvalidInput(f"Image {sample.id} has no ground-truth mask.")
    mask, conversion = load_mask(path, size=size, grey=values is not classes)
    try:
        truth = values.encode(mask, where=str(path))
    except InvalidInput as error:
        raise InvalidInput(error.message, hint=error.hint or _name_values(classes, mask)) from error
    doubtful = values is classes and sample.labels != () and _only_ignored(truth)
    unnamed = ((ONLY_IGNORED, path.name),) if doubtful else ()
    return truth, (*mask_remarks(path, mask, conversion, values), *unnamed)


def _only_ignored(truth: NDArray[np.uint8]) -> bool:
    """Whether a mask of class indices has ignored pixels and none of a class."""
    return bool((truth == IGNORE).any() and not ((truth != 0) & (truth != IGNORE)).any())


def mask_remarks(
    path: Path, mask: NDArray[np.uint8], conversion: str | None, values: Classes | MaskValues
) -> tuple[Remark, ...]:
    """Return what is worth knowing of how a mask was read.

    Args:
        path: its file.
        mask: ``(H, W)`` values on disk.
        conversion: of `wsss.io.rasters.label_masks.load_mask`.
        values: what encodes the mask.
    """
    remarks = [] if conversion is None else [(f"masks read from {conversion}", path.name)]
    stray = values.stray(mask) if isinstance(values, MaskValues) else {}
    if stray:
        kind = "masks with other values than the layout's, read as background"
        remarks.append((kind, f"{path.name} ({pixels_of_values(stray)})"))
    return tuple(remarks)


def _name_values(classes: Classes, mask: NDArray[np.uint8]) -> str:
    """Return the hint for a mask whose values aren't the ids of the classes."""
    known = {value: name for name, values in zip(classes.names, classes.values, strict=True) for value in values}
    legal = np.isin(np.arange(256), [IGNORE, *classes.other, *known])
    unknown = unknown_values(mask, legal)
    name = classes.foreground[0] if len(classes) == 2 else "CLASS"
    meaning = {0: BACKGROUND, IGNORE: "ignore", **known}
    found = [value for value in sorted({0, *np.unique(mask).tolist()}) if value in meaning or value in unknown]
    key = as_key([(value, meaning.get(value, name)) for value in found[:9]])
    option = f"--data.mask_values '{key.partition(': ')[2]}'"
    return f"{smoothing_hint(unknown)}Say what the values mean: {key} (in data:; as an option {option})."
