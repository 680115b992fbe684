"""Reader of a plain folder: images, a CSV table of image-level labels, and whatever else there is.

::

    root/images/*            labels.csv       image_id,labels[,split]
         masks/<id>.png      splits/<name>.txt       classes.txt       files.csv
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from wsss.data.class_list import ClassChoice, LabelNames, Other, choose_classes, read_class_list
from wsss.data.dataset import Dataset
from wsss.data.masks.mask_values import MaskValues
from wsss.data.readers.find_images import images_by_id, require_images, the_image, unread_note
from wsss.data.readers.label_cells import NEGATIVE_KEY, Known, class_names, read_rows
from wsss.data.readers.label_rules import Rules, no_and_yes
from wsss.data.readers.label_tables import LabelRow, choose_splits, read_image_table, read_label_table
from wsss.data.readers.layout import Layout, Log, hash_cache
from wsss.data.readers.own_masks import OwnMasksConfig, find_masks, own_values
from wsss.data.sample import Sample
from wsss.data.sample_ids import check_id, unique_ids, without_suffix
from wsss.errors import InvalidInput, counted
from wsss.io.files.home import at_home
from wsss.io.rasters.label_masks import BACKGROUND, IGNORED_NAMES
from wsss.io.text.text_files import read_lines

CLASSES = "classes.txt"
LISTS = "splits"
UNLABELLED = "unlabelled"
MEND = "data.images in the pipeline file, --set data.images=DIR of wsss run, --data.images DIR of other commands."


class Config(OwnMasksConfig):
    """``data:`` of a plain folder."""

    layout: Literal["folder"] = "folder"
    root: Path = Field(description="The dataset's folder.")
    images: str = Field("images", description="Folder of the images, below root (or anywhere: an absolute path).")
    files: str | None = Field(
        None,
        description="Table image_id,file, below root: which file below images is which image, where they lie in "
        "subfolders or have other names than their ids; absent = every image directly in the folder.",
    )
    labels: str = Field("labels.csv", description="Table of image-level labels: image_id,labels[,split].")
    negative: list[str] | None = Field(
        None,
        description="Labels of images that show no class; absent = the usual words (ok, good, normal, none, negative, "
        "healthy), where they are no classes of classes.txt; [] = none.",
    )
    unknown: list[str] = Field(
        [], description="Labels, besides ?, of images of which it is not known which classes they show."
    )
    masks: str = Field(
        "masks", description="Folder of ground-truth masks, if there are any: <id>.png, or .tif, .bmp, .gif."
    )
    classes: ClassChoice = Field(
        None, description="Names to keep, or new name → id(s) or name(s) it gathers; absent = all of classes.txt, or "
        "all names in the label table in alphabetical order."
    )  # fmt: skip
    other: Other = Field("background", description="What mask pixels of the classes left out become.")
    splits: list[str] | None = Field(None, description="Splits to read; absent = all.")
    val_fraction: float = Field(
        0.2, ge=0, lt=1, description="Share of the images that becomes the split val, where nothing names any split."
    )

    @field_validator("images", "labels", "masks", "files")
    @classmethod
    def _text_at_home(cls, value: str | None) -> str | None:
        return None if value is None else str(at_home(value)) if value.startswith("~") else value


def recognise(root: Path) -> bool:
    """Whether ``root`` holds a folder images, and labels.csv or classes.txt."""
    return (root / "images").is_dir() and ((root / "labels.csv").is_file() or (root / CLASSES).is_file())


def read(config: Config, *, work: Path, log: Log, complete: bool = True) -> Dataset:
    """Return the dataset; see `wsss.data.readers.layout.Reader`. Images may be missing unless ``complete``."""
    root = config.root
    if not root.is_dir():
        raise InvalidInput(f"data.root: {root} is no folder.", hint="Set data.root to the dataset's folder.")
    folder = root / config.images
    images = _images(config, root, folder, complete)
    if config.files is None and (left_out := unread_note(folder)) is not None:
        log(left_out)
    for name in images:
        check_id(name, folder)
        the_image(name, images, where=folder, folder=folder)
    the = partial(the_image, images=images, folder=folder, complete=complete)
    table = root / config.labels
    rows = {row.id: row for row in read_label_table(table)} if table.is_file() else {}
    require_images(((row.id, row.where) for row in rows.values()), the)
    ids = _split_ids(config, root, images, rows, log, the)
    known = {*images, *(name for members in ids.values() for name in members)}
    required = complete and "masks" in config.model_fields_set
    masks = find_masks(config, root / config.masks, known, required=required)
    names = _classes(config, root, rows.values(), has_masks=bool(masks.found))
    pair = no_and_yes(names.classes.foreground)
    if pair is not None and config.negative is None and rows:
        no, yes = map(repr, pair)
        hint = f"data.negative: [{no}] says that {no} means no class"
        log(f"note: {table}: the classes are called {no} and {yes}; {hint}.")
    values = own_values(config, names, log)
    labels = read_rows(rows.values(), names, _rules(config), lambda line: log(f"{table}: {line}"), way_out=NEGATIVE_KEY)
    splits = {
        split: tuple(
            _sample(name, the(name, where=root), labels.get(name), masks.found.get(name), values) for name in members
        )
        for split, members in ids.items()
    }
    gone = {name for name in images if config.files is not None and not complete and not images[name][0].is_file()}
    return Dataset(
        name=root.resolve().name,
        root=root,
        classes=names.classes,
        splits=splits,
        missing=frozenset(name for members in ids.values() for name in members if name not in images or name in gone),
        cache=hash_cache(work),
        image_root=folder,
        remarks=tuple(masks.remarks()),
    )


def _sample(name: str, image: Path, known: Known | None, mask: Path | None, values: MaskValues | None) -> Sample:
    labels, unknown = known or (None, ())
    return Sample(name, image, labels, mask, values, unknown)


def _rules(config: Config) -> Rules:
    return Rules(None if config.negative is None else tuple(config.negative), tuple(config.unknown))


def _images(config: Config, root: Path, folder: Path, complete: bool) -> dict[str, list[Path]]:
    """Return the images by id; where the folder itself is gone, an incomplete dataset has none."""
    if not folder.is_dir():
        if not complete:  # the table tells their names also where they are gone
            return {} if config.files is None else read_image_table(root / config.files, folder, complete=False)
        raise InvalidInput(
            f"{folder}: no such folder; the images are looked for there.",
            hint=f"Say where they are: {MEND}",
        )
    if config.files is not None:
        images = read_image_table(root / config.files, folder, complete=complete)
    else:
        images = images_by_id(folder)
    if complete and not images:
        raise InvalidInput(f"{folder}: no image here.", hint=f"Say where they are: {MEND}")
    return images


def _classes(config: Config, root: Path, rows: Iterable[LabelRow], *, has_masks: bool) -> LabelNames:
    class_file = root / CLASSES
    if class_file.is_file():
        base = read_class_list(class_file)
    elif isinstance(config.classes, dict):
        base = _numbered(_named_in_masks(config))
    elif isinstance(config.classes, list):
        base = _numbered([*config.classes, *(name for name in _named_in_masks(config) if name not in config.classes)])
    elif has_masks and config.mask_values is None:
        raise InvalidInput(
            f"{root}: there are masks, and no {CLASSES} that says which mask value means which class.",
            hint=f"Write {class_file} with one line 'id name' per class, set data.classes to {{name: id}}, or "
            "data.mask_values to {0: background, VALUE: NAME}.",
        )
    else:
        found = set(class_names(rows, _rules(config)))
        base = _numbered(sorted(found | set(_named_in_masks(config))))
        if not base:
            raise InvalidInput(
                f"{root}: no class is named: neither in {CLASSES}, nor in {config.labels}, nor in data.classes.",
                hint=f"Write {class_file} with one class name per line.",
            )
    return choose_classes(config.classes, base, other=config.other, where="data.classes")


def _named_in_masks(config: Config) -> list[str]:
    """Return the classes that ``mask_values`` names, in order, but for those that ``classes`` gathers others under."""
    gathered = config.classes if isinstance(config.classes, dict) else {}
    names = dict.fromkeys((config.mask_values or {}).values())
    return [name for name in names if name not in (BACKGROUND, IGNORED_NAMES[0], *gathered)]


def _numbered(names: list[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names, start=1)}


def _split_ids(
    config: Config,
    root: Path,
    images: dict[str, list[Path]],
    rows: dict[str, LabelRow],
    log: Log,
    the: Callable[..., Path],
) -> dict[str, list[str]]:
    """Return split → ids: from splits/*.txt, else from the column ``split``, else by a hash of the id."""
    lists = sorted((root / LISTS).glob("*.txt"))
    if lists:
        splits = {path.stem: _read_split(path, the) for path in lists}
    else:
        if any(row.split is not None for row in rows.values()):
            splits = {}
            for row in rows.values():
                if not row.split:
                    raise InvalidInput(f"{row.where}: the column split is empty for image {row.id!r}.")
                splits.setdefault(row.split, []).append(row.id)
        else:
            ids = sorted(rows or images)
            train, val = hash_split(ids, config.val_fraction)
            splits = {"train": train, "val": val} if val else {"train": train}
            log(f"{root}: no splits are given; by a hash of the image id {len(train)} go to train, {len(val)} to val.")
        without_row = [name for name in images if rows and name not in rows]
        if without_row:
            splits[UNLABELLED] = sorted([*splits.get(UNLABELLED, []), *without_row])
            log(f"{root}: {counted(len(without_row), 'image')} without a row in {config.labels}: split {UNLABELLED!r}.")
    return choose_splits(splits, config.splits, where=root)


def _read_split(path: Path, the: Callable[..., Path]) -> list[str]:
    entries = [(check_id(without_suffix(line.text), line), line) for line in read_lines(path)]
    for name, line in unique_ids(entries, path):
        the(name, where=line)
    return [name for name, _ in entries]


def hash_split(ids: list[str], val_fraction: float) -> tuple[list[str], list[str]]:
    """Deal ids out to train and val by a hash of each id, so that an image added later moves no other.

    Neither part is empty where there are two ids or more, and ``val_fraction`` isn't 0; a single id is train.
    """
    place = {name: int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64 for name in ids}
    val = {name for name in ids if place[name] < val_fraction}
    if val_fraction > 0 and len(ids) > 1:
        ranked = sorted(ids, key=lambda name: (place[name], name))
        val = (val or {ranked[0]}) - ({ranked[-1]} if len(val) == len(ids) else set())
    elif len(ids) == 1:
        val = set()
    return [name for name in ids if name not in val], [name for name in ids if name in val]


LAYOUT: Layout[Config] = Layout(
    name="folder",
    config=Config,
    read=read,
    read_incomplete=partial(read, complete=False),
    recognise=recognise,
    looks_for="the folder images with labels.csv or classes.txt beside it",
)
