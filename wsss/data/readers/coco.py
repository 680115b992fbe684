"""Reader of the COCO layout: images, and one JSON file of instance annotations per split.

::

    root/annotations/instances_train2014.json   instances_val2014.json
         train2014/COCO_train2014_000000000009.jpg …           (2017: train2017/000000000009.jpg)
         val2014/COCO_val2014_000000000042.jpg …

The image-level labels are the categories annotated in an image, crowds included. Masks are drawn from the outlines when
they are read (`wsss.data.coco.instance_mask`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from wsss.data.class_list import ClassChoice, LabelNames, Other
from wsss.data.coco.annotation_index import AnnotationIndex
from wsss.data.coco.chosen_categories import choose_categories
from wsss.data.coco.index_cache import load_index
from wsss.data.coco.instance_mask import InstanceMask
from wsss.data.dataset import Dataset
from wsss.data.image_ids import SEPARATOR
from wsss.data.manifest import ContentHashes
from wsss.data.readers.label_tables import choose_splits
from wsss.data.readers.layout import Layout, LayoutConfig, Log, hash_cache, require_root
from wsss.data.sample import Sample
from wsss.data.sample_ids import check_id, without_suffix
from wsss.errors import InvalidInput, Verbatim, counted, listing, together
from wsss.io.files.contained import check_below
from wsss.io.files.home_paths import expand_home

ANNOTATIONS = "annotations"
_FILE = re.compile(r"instances_(?P<split>.+?)(?P<year>20\d\d)?\.json")
"""Names of annotation files; a year is not part of the name of the split."""

HINT = "Set data.root to the folder that contains annotations/ and the folders of images."


class Config(LayoutConfig):
    """``data:`` of COCO."""

    layout: Literal["coco"] = "coco"
    root: Path = Field(description="The folder that contains annotations/ and the folders of images.")
    year: int | None = Field(
        None,
        description="Year of the files, if annotations/ has those of several: 2014 for instances_train2014.json and "
        "train2014/.",
    )
    annotations: dict[str, str] | None = Field(
        None,
        description="Split → JSON file, relative to root; absent = annotations/instances_*.json; a year is not part of "
        "the name of the split.",
    )
    images: dict[str, str] = Field(
        {},
        description="Split → folder of its images, relative to root; absent = train2014 (or images/train2014) for "
        "instances_train2014.json.",
    )
    classes: ClassChoice = Field(
        None,
        description="Names to keep, or new name → name(s) or number(s) it merges; absent = all. Numbers are those in "
        "masks: positions in the order of the category ids, from 1, not the ids.",
    )
    # As in VOC, background is everything but the classes: ignoring other objects would hide false positives.
    other: Other = Field("background", description="How mask pixels of unselected classes are read.")
    splits: list[str] | None = Field(None, description="Splits to read; absent = all.")
    unannotated: Literal["keep", "drop"] = Field(
        "keep", description="Images without any annotation: keep them as images of no class, or drop them."
    )

    @field_validator("annotations", "images")
    @classmethod
    def _expand_home_in_paths(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        return value and {
            split: str(expand_home(path)) if path.startswith("~") else path for split, path in value.items()
        }


@dataclass(frozen=True)
class _Source:
    """The files of one split."""

    annotations: Path
    images: Path


def recognise(root: Path) -> bool:
    """Return whether ``root`` contains annotations/instances_*.json."""
    return any(_FILE.fullmatch(path.name) for path in (root / ANNOTATIONS).glob("instances_*.json"))


def read(config: Config, *, work: Path, log: Log, complete: bool = True) -> Dataset:
    """Return the dataset; see `wsss.data.readers.layout.Reader`. Images may be missing unless ``complete``."""
    root = require_root(config.root, hint=HINT)
    listed = _annotation_files(config, root)
    _require_known(config, listed)
    files = choose_splits(listed, config.splits, where=root)
    sources = {split: _Source(path, _image_folder(config, root, split, path)) for split, path in files.items()}
    hashes = ContentHashes(hash_cache(work))
    indices = {split: load_index(source.annotations, work, hashes, log) for split, source in sources.items()}
    hashes.save()
    paths = {split: source.annotations for split, source in sources.items()}
    names = choose_categories(config.classes, paths, indices, other=config.other, log=log)
    read_splits = {split: _Split(source, indices[split], names) for split, source in sources.items()}
    samples = {split: parts.samples(config, log) for split, parts in read_splits.items()}
    missing = [name for split, parts in read_splits.items() for name in parts.missing(samples[split], complete)]
    _require_unique(samples, sources)
    return Dataset(
        name=root.resolve().name,
        root=root,
        classes=names.classes,
        splits={split: tuple(found.values()) for split, found in samples.items()},
        missing=frozenset(missing),
        cache=hash_cache(work),
        image_root=root,
    )


def _annotation_files(config: Config, root: Path) -> dict[str, Path]:
    """Return the annotation file of each split.

    Raises:
        InvalidInput: a file is missing, there are files of several years, or ``annotations`` and ``year`` are set.
    """
    if config.annotations is not None:
        if config.year is not None:
            hint = "Omit data.year: data.annotations lists the files."
            raise InvalidInput("no effect with data.annotations", subject="data.year", found=config.year, hint=hint)
        return {split: root / name for split, name in config.annotations.items()}
    found: dict[str, dict[str, Path]] = {}
    for path in sorted((root / ANNOTATIONS).glob("instances_*.json")):
        match = _FILE.fullmatch(path.name)
        if match is not None:
            found.setdefault(match["year"] or "", {})[match["split"]] = path
    if config.year is not None:
        if str(config.year) not in found:
            allowed = [year for year in found if year]
            raise InvalidInput(
                f"no {ANNOTATIONS}/instances_*{config.year}.json in {root}",
                subject="data.year",
                found=str(config.year),
                allowed=allowed or "a year in the names of the files",
            )
        return found[str(config.year)]
    if not found:
        raise InvalidInput(f"no {ANNOTATIONS}/instances_*.json", subject=root, hint=HINT)
    if len(found) > 1:
        years = listing(year or "none" for year in found)
        hint = "Choose one with data.year, or list the files in data.annotations."
        raise InvalidInput(f"annotations of several years: {years}", subject=root / ANNOTATIONS, hint=hint)
    return next(iter(found.values()))


def _require_known(config: Config, listed: Mapping[str, Path]) -> None:
    """Require that splits are read, and that ``images`` names existing ones.

    Raises:
        InvalidInput: see above.
    """
    for key, value in {"data.annotations": listed, "data.splits": config.splits}.items():
        if value is not None and not value:
            raise InvalidInput(subject=key, found=Verbatim("none"), allowed="at least one split")
    for split in config.images:
        if split not in listed:
            raise InvalidInput("unknown split", subject="data.images", found=split, allowed=listed)


def _image_folder(config: Config, root: Path, split: str, annotations: Path) -> Path:
    """Return the folder of the images of a split."""
    if split in config.images:
        return root / config.images[split]
    name = annotations.stem.removeprefix("instances_") if _FILE.fullmatch(annotations.name) else split
    nested = root / "images" / name
    return nested if nested.is_dir() and not (root / name).is_dir() else root / name


class _Split:
    """Makes the samples of one split from the index of its file."""

    def __init__(self, source: _Source, index: AnnotationIndex, names: LabelNames) -> None:
        self.source, self.index = source, index
        self._classes = [names.index[name] for name in index.categories.values()]
        self._same: dict[tuple[int, ...], tuple[int, ...]] = {}

    def samples(self, config: Config, log: Log) -> dict[str, Sample]:
        """Return file name → sample, in the order of the file.

        Raises:
            InvalidInput: a file name leads out of the folder of the images, is not a valid id, or is a duplicate.
        """
        index, path = self.index, self.source.annotations
        starts, sizes, ids = index.starts.tolist(), index.sizes.tolist(), index.ids.tolist()
        numbers, outlined = index.annotations["number"].tolist(), index.annotations["outlined"].tolist()
        found: dict[str, Sample] = {}
        for position, file in enumerate(index.files):
            where = f"{path}: images[{position}].file_name"
            check_below(self.source.images, file, where=where)
            name = check_id(without_suffix(file.replace("/", SEPARATOR)), where)
            if file in found:
                raise InvalidInput(f"duplicate image {file!r}", subject=where)
            start, stop = starts[position], starts[position + 1]
            if start == stop and config.unannotated == "drop":
                continue
            drawing = None
            if all(outlined[start:stop]):
                places = index.annotations[start:stop].tobytes()
                drawing = InstanceMask(path, ids[position], tuple(sizes[position]), places)
            labels, mask = self._present(numbers[start:stop]), None if drawing is None else path
            found[file] = Sample(name, self.source.images / file, labels, mask, drawing=drawing)
        self._log(found, config, log)
        return found

    def missing(self, samples: Mapping[str, Sample], complete: bool) -> list[str]:
        """Return the ids of the samples without an image file.

        Raises:
            InvalidInput: images are missing in a ``complete`` dataset, or their folder is.
        """
        folder, source = self.source.images, self.source
        hint = f"Unpack the images to {folder}, set data.images, or choose other splits with data.splits."
        if complete and not folder.is_dir():
            raise InvalidInput("no such folder of images", subject=folder, hint=hint)
        present = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
        absent = [s for file, s in samples.items() if file not in present and not s.image.is_file()]
        if absent and complete:
            errors = [InvalidInput("no such image", subject=sample.image, hint=hint) for sample in absent]
            raise together(errors, len(samples), f"images listed in {source.annotations} are missing")
        return [sample.id for sample in absent]

    def _present(self, numbers: list[int]) -> tuple[int, ...]:
        """Return the class indices of class numbers; equal tuples are one object."""
        found = {self._classes[number - 1] for number in numbers}
        labels = tuple(sorted(index for index in found if index is not None))
        return self._same.setdefault(labels, labels)

    def _log(self, samples: Mapping[str, Sample], config: Config, log: Log) -> None:
        """Log how many images have no annotation, and how many no outlines."""
        path = self.source.annotations
        empty = int((np.diff(self.index.starts) == 0).sum())
        if empty:
            count = counted(empty, "image without annotations is", "images without annotations are")
            done = {"keep": "used as images of no class", "drop": "left out"}[config.unannotated]
            log(f"{path}: {count} {done} (data.unannotated: {config.unannotated}).")
        undrawn = [sample.id for sample in samples.values() if sample.mask is None]
        if undrawn:
            count = counted(len(undrawn), "image has annotations", "images have annotations")
            log(f"note: {path}: {count} without an outline, and so no mask: {listing(undrawn)}.")


def _require_unique(splits: Mapping[str, Mapping[str, Sample]], sources: Mapping[str, _Source]) -> None:
    """Require that an id means one image; several splits may have the same one."""
    images: dict[str, Path] = {}
    for split, samples in splits.items():
        for sample in samples.values():
            if images.setdefault(sample.id, sample.image) != sample.image:
                raise InvalidInput(
                    f"image id {sample.id!r} is ambiguous: {images[sample.id]} and {sample.image}",
                    subject=sources[split].annotations,
                    hint="An id is a file name without suffix: rename one of the images.",
                )


LAYOUT: Layout[Config] = Layout(
    name="coco",
    config=Config,
    read=read,
    read_incomplete=partial(read, complete=False),
    recognise=recognise,
    looks_for="annotations/instances_*.json",
)
"""COCO instance annotations."""
