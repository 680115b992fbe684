"""Reader of the TopoMortar layout: brick walls with mortar masks of several label kinds, and groups of test images.

::

    root/dataset/{train,val,test}/images/<id>.png
                 {train,val}/{accurate,noisy,pseudo}/<id>.png      masks, 0 and 255 = mortar
                 test/accurate/<id>.png
                 splits.yaml  splits_small.yaml                    lists of images
                 dataset_types.txt                                 ID,group

The public dataset (Valverde et al., "TopoMortar: a dataset to evaluate image segmentation methods focused on topology
accuracy", BMVC 2025) is read unchanged; images, label kinds and lists may be missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.data.mask_values import MaskValues
from wsss.data.readers.find_images import images_by_id
from wsss.data.readers.label_tables import choose_splits
from wsss.data.readers.layout import Layout, LayoutConfig, Log, hash_cache, require_root
from wsss.data.readers.topomortar_files import GROUPS, PARTS, read_groups, read_lists
from wsss.data.sample import Sample
from wsss.errors import InvalidInput, listing

KINDS = ("accurate", "noisy", "pseudo")
WEAK = "weak"
"""A further label kind, not in the public dataset: masks written by the stage `crf` (1 = mortar, 255 = uncertain),
copied to train/weak or val/weak."""

FOLDER = "dataset"
SPLITS, SPLITS_SMALL, GROUP_FILE = "splits.yaml", "splits_small.yaml", "dataset_types.txt"

CLASSES = Classes(names=("background", "mortar"), values=((0,), (1,)))
MASK_VALUES = MaskValues(((0,), (255,)), rest=0)
"""Values of the dataset's masks: 255 is mortar. Masks written by wsss have 1 for mortar and 255 for uncertain pixels.
All other values are background, as in the authors' configuration: six pixels of test mask 163 have the value 8."""


class Config(LayoutConfig):
    """``data:`` of TopoMortar."""

    layout: Literal["topomortar"] = "topomortar"
    root: Path = Field(description="The folder that contains dataset/, or dataset itself.")
    splits: list[str] | None = Field(None, description="Splits to read; absent = all.")


def dataset_folder(root: Path) -> Path:
    """Return the folder of ``splits.yaml``: ``root/dataset`` if it exists, otherwise ``root``."""
    return root / FOLDER if (root / FOLDER).is_dir() else root


def recognise(root: Path) -> bool:
    """Return whether ``root``, or ``root/dataset``, contains splits.yaml and images of train, val or test."""
    base = dataset_folder(root)
    return (base / SPLITS).is_file() and any((base / part / "images").is_dir() for part in PARTS)


def read(config: Config, *, work: Path, log: Log) -> Dataset:
    """Return the dataset; see `wsss.data.readers.layout.Reader`.

    Splits are ``train``, ``val`` (both with accurate masks), ``test``, ``test-<group>``, ``train-{large,small}-<kind>``
    and ``val-<kind>``, where their files exist; kinds are the dataset's three and `WEAK`.
    """
    root = require_root(config.root, hint="Set data.root to the folder that contains dataset/.")
    source = _Source(dataset_folder(root))
    splits = dict(source.splits())
    aliases = {"train": "train-large-accurate", "val": "val-accurate", "test": "test"}
    first = {name: splits[split] for name, split in aliases.items() if splits.get(split)}
    if not first | splits:
        raise InvalidInput(
            f"no image listed in {SPLITS}, or no {', '.join(KINDS)} mask",
            subject=source.base,
            hint="Set data.root to the folder that contains dataset/ of the unpacked dataset.",
        )
    if source.missing:
        log(f"{source.base}: missing, so without splits: {listing(source.missing, limit=20)}.")
    resolved = root.resolve()
    return Dataset(
        name=resolved.parent.name if resolved.name == FOLDER else resolved.name,
        root=root,
        classes=CLASSES,
        splits=choose_splits(first | splits, config.splits, where=source.base),
        cache=hash_cache(work),
        mask_kinds={name: kind for name in splits for kind in (*KINDS[1:], WEAK) if name.endswith(f"-{kind}")},
    )


class _Source:
    """The files of the dataset, and descriptions of those that are missing.

    Args:
        base: the folder of ``splits.yaml``.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.missing: list[str] = []
        lists = read_lists(base / SPLITS)
        small = read_lists(base / SPLITS_SMALL) if (base / SPLITS_SMALL).is_file() else None
        self._no_small_list = small is None
        if small is not None:
            _check_agreement(lists, small, base)
        present = {part: _present(base / part / "images") for part in PARTS}
        self._ids = {part: [name for name in ids if name in present[part]] for part, ids in lists.items()}
        self._small = [name for name in (small or {}).get("train", ()) if name in present["train"]]
        for part, ids in lists.items():
            if len(self._ids[part]) < len(ids):
                self.missing.append(f"{len(ids) - len(self._ids[part])} of the {len(ids)} {part} images")

    def splits(self) -> Iterator[tuple[str, tuple[Sample, ...]]]:
        """Yield split names and samples."""
        weak = [WEAK] if any((self.base / part / WEAK).is_dir() for part in PARTS[:2]) else []
        for kind in (*KINDS, *weak):
            yield from self._train_splits(kind)
            if self._has_masks("val", kind, self._ids["val"]):
                yield f"val-{kind}", self._samples("val", kind, self._ids["val"])
        if self._ids["test"]:
            yield from self._test_splits()
        if self._no_small_list:
            self.missing.append(SPLITS_SMALL)

    def _train_splits(self, kind: str) -> Iterator[tuple[str, tuple[Sample, ...]]]:
        large, small = self._ids["train"], self._small
        complete = self._has_masks("train", kind, list(dict.fromkeys([*large, *small])), subset=small)
        if complete:
            yield f"train-large-{kind}", self._samples("train", kind, large)
        if small and complete is not None:
            yield f"train-small-{kind}", self._samples("train", kind, small)

    def _test_splits(self) -> Iterator[tuple[str, tuple[Sample, ...]]]:
        """Yield all test images, then each group; test images are evaluated with accurate masks only."""
        ids, path = self._ids["test"], self.base / GROUP_FILE
        self._has_masks("test", KINDS[0], ids, required=True)
        samples = self._samples("test", KINDS[0], ids)
        yield "test", samples
        if not path.is_file():
            self.missing.append(GROUP_FILE)
            return
        groups = read_groups(path)
        ungrouped = [name for name in ids if name not in groups]
        if ungrouped:
            raise InvalidInput(
                f"{len(ungrouped)} test images have no group: {listing(ungrouped)}",
                subject=path,
                hint=f"Add a line ID,group for each; groups are {', '.join(GROUPS)}.",
            )
        for group in GROUPS:
            members = tuple(sample for sample in samples if groups[sample.id] == group)
            if members:
                yield f"test-{group}", members

    def _has_masks(
        self, part: str, kind: str, ids: Sequence[str], *, required: bool = False, subset: Sequence[str] = ()
    ) -> bool | None:
        """Return whether all ``ids`` have masks of a label kind; ``None`` if not even ``subset`` has.

        Raises:
            InvalidInput: only some images have masks, and ``subset`` is incomplete too; or none has, if required.
        """
        if not ids:
            return None
        folder = self.base / part / kind
        masks = _present(folder)
        if not masks and not required:
            self.missing.append(f"the {kind} masks of {part}")
            return None
        without = [name for name in ids if name not in masks]
        if not without:
            return True
        if subset and masks.issuperset(subset):
            count = f"{len(without)} of the {len(ids)} {part} images"
            self.missing.append(f"the {kind} masks of {count} ({part}-large-{kind})")
            return False
        raise InvalidInput(
            f"no mask for {len(without)} of the {len(ids)} {part} images: {listing(without)}",
            subject=folder,
            hint="Copy the missing masks from the dataset, or delete these images.",
        )

    def _samples(self, part: str, kind: str, ids: Sequence[str]) -> tuple[Sample, ...]:
        """Return samples with masks of one label kind; every image shows mortar."""
        folder, values = self.base / part, None if kind == WEAK else MASK_VALUES
        return tuple(
            Sample(name, folder / "images" / f"{name}.png", (1,), folder / kind / f"{name}.png", values) for name in ids
        )


def _check_agreement(lists: Mapping[str, list[str]], small: Mapping[str, list[str]], base: Path) -> None:
    """Validate that each image is in the same part of both lists: trained on, or held out."""
    owner = {name: part for part, ids in lists.items() for name in ids}
    for part, ids in small.items():
        for name in ids:
            if owner.get(name, part) != part:
                raise InvalidInput(
                    f"image {name!r} is listed under {owner[name]} in {SPLITS}, but under {part} in {SPLITS_SMALL}",
                    subject=base,
                    hint="Use both files from the same release of the dataset.",
                )


def _present(folder: Path) -> set[str]:
    """Return the ids of the PNG files in a folder; empty if it does not exist."""
    if not folder.is_dir():
        return set()
    return {name for name, paths in images_by_id(folder).items() if any(path.suffix == ".png" for path in paths)}


LAYOUT: Layout[Config] = Layout(
    name="topomortar",
    config=Config,
    read=read,
    recognise=recognise,
    looks_for="dataset/splits.yaml (or splits.yaml) with train/images, val/images or test/images next to it",
)
