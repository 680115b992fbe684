"""Reader of the TopoMortar layout: brick walls with mortar masks of several label kinds, and groups of test images.

::

    root/dataset/{train,val,test}/images/<id>.png
                 {train,val}/{accurate,noisy,pseudo}/<id>.png      masks, 0 and 255 = mortar
                 test/accurate/<id>.png
                 splits.yaml  splits_small.yaml                    lists of images
                 dataset_types.txt                                 ID,group

The public dataset (Valverde et al., "TopoMortar: a dataset to evaluate image segmentation methods focused on topology
accuracy", BMVC 2025) is read as it is, whole or in part.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field

from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.data.masks.mask_values import MaskValues
from wsss.data.readers.find_images import images_by_id
from wsss.data.readers.label_tables import choose_splits
from wsss.data.readers.layout import Layout, LayoutConfig, Log, hash_cache
from wsss.data.sample import Sample
from wsss.data.sample_ids import check_id
from wsss.errors import InvalidInput, closest, listing
from wsss.io.text.text_files import read_lines, read_text

PARTS = ("train", "val", "test")
KINDS = ("accurate", "noisy", "pseudo")
WEAK = "weak"
"""A fourth label kind that the dataset doesn't have: masks of ours, as `crf` writes them (1 is mortar, 255 unsure),
copied to train/weak or val/weak."""
GROUPS = ("indistr", "angles", "colors", "graffiti", "objects", "occlusion", "shadows")
"""Groups of test images: the first is in-distribution, the others are out of it."""

FOLDER = "dataset"
SPLITS, SPLITS_SMALL, GROUP_FILE = "splits.yaml", "splits_small.yaml", "dataset_types.txt"
MAX_LIST_BYTES = 4_000_000
"""The public lists are below 20 kB."""

CLASSES = Classes(names=("background", "mortar"), values=((0,), (1,)))
MASK_VALUES = MaskValues(((0,), (255,)), rest=0)
"""Values in the dataset's mask files. 255 is mortar there, and "ignore" in every mask that we write: those have 1 for
mortar, and 255 for unsure pixels. All other values are background, as in the authors' configuration, which maps 255
alone to mortar: six pixels of test mask 163 have the value 8."""

_LISTED = re.compile(r"(?:\./)?(?:dataset/)?(train|val|test)/images/([^/]+)\.png")


class Config(LayoutConfig):
    """``data:`` of TopoMortar."""

    layout: Literal["topomortar"] = "topomortar"
    root: Path = Field(description="The folder that holds dataset/, or dataset itself.")
    splits: list[str] | None = Field(None, description="Splits to read; absent = all.")


def dataset_folder(root: Path) -> Path:
    """Return the folder with ``splits.yaml``: ``root/dataset`` where that is one, else ``root``."""
    return root / FOLDER if (root / FOLDER).is_dir() else root


def recognise(root: Path) -> bool:
    """Whether ``root``, or ``root/dataset``, holds splits.yaml and images of train, val or test."""
    base = dataset_folder(root)
    return (base / SPLITS).is_file() and any((base / part / "images").is_dir() for part in PARTS)


def read(config: Config, *, work: Path, log: Log) -> Dataset:
    """Return the dataset; see `wsss.data.readers.layout.Reader`.

    Splits are ``train``, ``val`` (both with accurate masks), ``test``, ``test-<group>``,
    ``train-{large,small}-<kind>`` and ``val-<kind>``, as far as their files are there; kinds are the dataset's
    three and `WEAK`.
    """
    root = config.root
    if not root.is_dir():
        raise InvalidInput(f"data.root: {root} is no folder.", hint="Set data.root to the folder that holds dataset/.")
    base = dataset_folder(root)
    lists = read_lists(base / SPLITS)
    small = read_lists(base / SPLITS_SMALL) if (base / SPLITS_SMALL).is_file() else None
    if small is not None:
        _check_agreement(lists, small, base)
    present = {part: _present(base / part / "images") for part in PARTS}
    absent = _Absent(base, log)
    here = {part: absent.leave_out(part, ids, present[part]) for part, ids in lists.items()}
    large, few = here["train"], [name for name in (small or {}).get("train", ()) if name in present["train"]]
    splits: dict[str, tuple[Sample, ...]] = {}
    own = [WEAK] if any((base / part / WEAK).is_dir() for part in PARTS[:2]) else []
    for kind in (*KINDS, *own):
        whole = absent.kind("train", kind, list(dict.fromkeys([*large, *few])), part_of=few)
        if whole:
            splits[f"train-large-{kind}"] = _samples(base, "train", kind, large)
        if few and whole is not None:
            splits[f"train-small-{kind}"] = _samples(base, "train", kind, few)
        if absent.kind("val", kind, here["val"]):
            splits[f"val-{kind}"] = _samples(base, "val", kind, here["val"])
    if here["test"]:
        splits |= _test_splits(base, here["test"], absent)
    if small is None:
        absent.note(SPLITS_SMALL)
    first = {"train": splits.get("train-large-accurate"), "val": splits.get("val-accurate"), "test": splits.get("test")}
    named = {name: samples for name, samples in first.items() if samples} | splits
    if not named:
        raise InvalidInput(
            f"{base}: none of the images of {SPLITS} is here, or none has a mask of {listing(KINDS)}.",
            hint="Set data.root to the folder that holds dataset/ of the unpacked dataset.",
        )
    absent.say()
    name = root.resolve().name
    return Dataset(
        name=root.resolve().parent.name if name == FOLDER else name,
        root=root,
        classes=CLASSES,
        splits=choose_splits(named, config.splits, where=base),
        cache=hash_cache(work),
    )


def read_lists(path: Path) -> dict[str, list[str]]:
    """Read ``splits.yaml``: ``{1: {train: [dataset/train/images/001.png, …], val: …, test: …}}``.

    Returns:
        Part (train, val, test) → ids in order; a part that isn't listed is empty.

    Raises:
        InvalidInput: no such file, not of this form, a path that isn't ``<part>/images/<id>.png`` (so nothing outside
            the dataset can be named), or an id that comes twice.
    """
    if path.is_file() and path.stat().st_size > MAX_LIST_BYTES:
        raise InvalidInput(f"{path}: {path.stat().st_size:,} bytes; a list of images has at most {MAX_LIST_BYTES:,}.")
    try:
        content = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise InvalidInput(f"{path}: not valid YAML ({' '.join(str(error).split())}).") from error
    folds = list(content.values()) if isinstance(content, dict) else []
    if len(folds) != 1 or not isinstance(folds[0], dict):
        raise InvalidInput(f"{path}: expected one fold, '1:', with lists of images under train, val and test.")
    unknown = [str(part) for part in folds[0] if part not in PARTS]
    if unknown:
        raise InvalidInput(f"{path}: unknown part {unknown[0]!r}; allowed are {listing(PARTS)}.")
    owner: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    for part in PARTS:
        entries = folds[0].get(part)
        if not isinstance(entries, list | None):
            raise InvalidInput(f"{path}: {part}: expected a list of images, found {entries!r:.60}.")
        lists[part] = [_listed(entry, part, f"{path}: {part}[{place}]") for place, entry in enumerate(entries or ())]
        for place, name in enumerate(lists[part]):
            if name in owner:
                raise InvalidInput(f"{path}: {part}[{place}]: image {name!r} is already listed under {owner[name]}.")
            owner[name] = part
    return lists


def read_groups(path: Path) -> dict[str, str]:
    """Read ``dataset_types.txt``: a line ``ID,group`` per image.

    Returns:
        Id → group, one of `GROUPS`.

    Raises:
        InvalidInput: no such file, another header, a group that isn't one, or an id that comes twice.
    """
    lines = read_lines(path)
    if not lines or lines[0].text.replace(" ", "") != "ID,group":
        raise InvalidInput(f"{path}: the first line is {lines[0].text if lines else ''!r}; expected 'ID,group'.")
    groups: dict[str, str] = {}
    for line in lines[1:]:
        name, _, group = (cell.strip() for cell in line.text.partition(","))
        check_id(name, line)
        if group not in GROUPS:
            raise InvalidInput(
                f"{line}: unknown group {group!r}; allowed are {listing(GROUPS, limit=9)}{closest(group, GROUPS)}"
            )
        if name in groups:
            raise InvalidInput(f"{line}: image id {name!r} comes twice; the first time its group is {groups[name]}.")
        groups[name] = group
    return groups


def _listed(entry: object, part: str, where: str) -> str:
    """Return the id that a list's entry names."""
    found = _LISTED.fullmatch(entry) if isinstance(entry, str) else None
    if found is None or found[1] != part:
        raise InvalidInput(f"{where}: found {entry!r:.100}; expected dataset/{part}/images/ID.png.")
    return check_id(found[2], where)


def _check_agreement(lists: Mapping[str, list[str]], small: Mapping[str, list[str]], base: Path) -> None:
    """Make certain that no image is trained on by one list and held out by the other."""
    owner = {name: part for part, ids in lists.items() for name in ids}
    for part, ids in small.items():
        for name in ids:
            if owner.get(name, part) != part:
                raise InvalidInput(
                    f"{base}: image {name!r} belongs to {owner[name]} in {SPLITS} and to {part} in {SPLITS_SMALL}.",
                    hint="Use the two files of one release of the dataset.",
                )


def _present(folder: Path) -> set[str]:
    """Return the ids of the PNG files in a folder; none where there is no such folder."""
    if not folder.is_dir():
        return set()
    return {name for name, paths in images_by_id(folder).items() if any(path.suffix == ".png" for path in paths)}


def _samples(base: Path, part: str, kind: str, ids: Sequence[str]) -> tuple[Sample, ...]:
    """Return samples with masks of one label kind. Every picture is of a wall: its image-level label is mortar."""
    folder = base / part
    return tuple(
        Sample(
            id=name,
            image=folder / "images" / f"{name}.png",
            labels=(1,),
            mask=folder / kind / f"{name}.png",
            mask_values=None if kind == WEAK else MASK_VALUES,
        )
        for name in ids
    )


def _test_splits(base: Path, ids: Sequence[str], absent: _Absent) -> dict[str, tuple[Sample, ...]]:
    """Return all test images, and each group; other label kinds than accurate are never used to test."""
    absent.kind("test", "accurate", ids, required=True)
    samples = _samples(base, "test", "accurate", ids)
    splits = {"test": samples}
    path = base / GROUP_FILE
    if not path.is_file():
        absent.note(GROUP_FILE)
        return splits
    groups = read_groups(path)
    without = [name for name in ids if name not in groups]
    if without:
        raise InvalidInput(
            f"{path}: {len(without)} test images have no group: {listing(without)}.",
            hint=f"Add a line ID,group for each; groups are {listing(GROUPS, limit=9)}.",
        )
    for group in GROUPS:
        members = tuple(sample for sample in samples if groups[sample.id] == group)
        if members:
            splits[f"test-{group}"] = members
    return splits


class _Absent:
    """Gathers what of the dataset isn't here, to be said in one line."""

    def __init__(self, base: Path, log: Log) -> None:
        self._base, self._log = base, log
        self._files: list[str] = []
        self._notes: list[str] = []

    def leave_out(self, part: str, ids: Sequence[str], present: set[str]) -> list[str]:
        """Return the ids whose image is here."""
        here = [name for name in ids if name in present]
        if len(here) < len(ids):
            self._files.append(f"{len(ids) - len(here)} of the {len(ids)} {part} images")
        return here

    def kind(
        self, part: str, kind: str, ids: Sequence[str], *, required: bool = False, part_of: Sequence[str] = ()
    ) -> bool | None:
        """Return whether all images of ``ids`` have masks of a label kind; ``None``: not even those of ``part_of``.

        Raises:
            InvalidInput: some have one, and others don't, and those of ``part_of`` aren't complete either; or, if
                required, none has one.
        """
        if not ids:
            return None
        folder = self._base / part / kind
        masks = _present(folder)
        if not masks and not required:
            self.note(f"the {kind} masks of {part}")
            return None
        missing = [name for name in ids if name not in masks]
        if not missing:
            return True
        if part_of and masks.issuperset(part_of):
            self.note(f"the {kind} masks of {len(missing)} of the {len(ids)} {part} images, so {part}-large-{kind}")
            return False
        raise InvalidInput(
            f"{folder}: no mask for {len(missing)} of the {len(ids)} {part} images that are here ({listing(missing)}).",
            hint="Copy the missing masks from the dataset, or take these images away.",
        )

    def note(self, what: str) -> None:
        """Remember one more thing that isn't here."""
        self._notes.append(what)

    def say(self) -> None:
        """Print the line, if there is anything to say."""
        absent = [*self._files, *self._notes]
        if absent:
            self._log(f"{self._base}: not here, and left out of the splits: {listing(absent, limit=20)}.")


LAYOUT: Layout[Config] = Layout(
    name="topomortar",
    config=Config,
    read=read,
    recognise=recognise,
    looks_for="dataset/splits.yaml (or splits.yaml) with train/images, val/images or test/images beside it",
)
