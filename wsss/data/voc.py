"""Reader of the PASCAL VOC layout: JPEGImages, SegmentationClass, ImageSets/Segmentation, Annotations."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from wsss.data.classlist import VOC_IDS, ClassChoice, LabelNames, Other, choose_classes, read_class_list
from wsss.data.imagefolder import SEPARATOR, images_below
from wsss.data.label_cells import Known, read_rows
from wsss.data.label_rules import Rules
from wsss.data.layout import Layout, LayoutConfig, Log, hash_cache
from wsss.data.lists import (
    Line,
    check_id,
    choose_splits,
    images_by_id,
    read_label_table,
    read_lines,
    the_image,
    unique_ids,
    unread_note,
    without_suffix,
)
from wsss.data.sample import Dataset, Sample
from wsss.data.xmlfile import read_xml
from wsss.errors import InvalidInput
from wsss.io.masks import IGNORE, read_mask

IMAGES = "JPEGImages"
LISTS = Path("ImageSets") / "Segmentation"
ANNOTATIONS = "Annotations"
LABELS = "image_labels.csv"
CLASSES = "classes.txt"
MAX_XML_BYTES = 4_000_000
"""VOC's own annotations are below 20 kB."""


class Config(LayoutConfig):
    """``data:`` of a folder in PASCAL VOC layout."""

    layout: Literal["voc"] = "voc"
    root: Path = Field(description="The folder that holds JPEGImages, usually VOCdevkit/VOC2012.")
    classes: ClassChoice = Field(
        None,
        description="Names to keep, or new name → id(s) or name(s) it gathers; absent = all.",
    )
    # In VOC "background" means "none of the classes". A subset changes which classes there are, so what is left out
    # becomes background, as trees and computers are. To ignore it would hide false positives on it from every score.
    other: Other = Field("background", description="What mask pixels of the classes left out become.")
    splits: list[str] | None = Field(None, description="Lists in ImageSets/Segmentation to read; absent = all.")
    labels: Literal["auto", "csv", "annotations", "masks"] = Field(
        "auto",
        description="Where image-level labels come from: image_labels.csv, Annotations/*.xml, or the pixel labels "
        "(only when asked for); auto = the first of the former two that is there.",
    )
    masks: list[str] = Field(
        ["SegmentationClass", "SegmentationClassAug"],
        description="Folders of masks; an image's mask is taken from the first that has one.",
    )


def recognise(root: Path) -> bool:
    """Whether ``root`` holds JPEGImages and ImageSets/Segmentation."""
    return (root / IMAGES).is_dir() and (root / LISTS).is_dir()


def read(config: Config, *, work: Path, log: Log, complete: bool = True) -> Dataset:
    """Return the dataset; see `wsss.data.layout.Reader`. Unless it has to be ``complete``, images may be missing."""
    root = config.root.expanduser()
    if not root.is_dir():
        raise InvalidInput(f"data.root: {root} is no folder.", mend="Set data.root to the folder with JPEGImages.")
    class_file = root / CLASSES
    base = read_class_list(class_file) if class_file.is_file() else VOC_IDS
    names = choose_classes(config.classes, base, other=config.other, where="data.classes")
    images = _images(root / IMAGES) if complete or (root / IMAGES).is_dir() else {}
    if (left_out := unread_note(root / IMAGES)) is not None:
        log(left_out)
    mask_files = _mask_files(config, root)
    known = images.keys() | mask_files.keys()
    lists = {name: _read_split(path, known) for name, path in _split_files(config, root).items()}
    needed = {name: line for entries in lists.values() for name, line in entries}
    labels = _labels(config, root, names, needed, mask_files, log)
    splits = {
        split: tuple(
            Sample(
                id=name,
                image=the_image(name, images, where=line, folder=root / IMAGES, complete=complete),
                labels=labels.get(name, (None, ()))[0],
                mask=mask_files.get(name),
                unknown=labels.get(name, (None, ()))[1],
            )
            for name, line in entries
        )
        for split, entries in lists.items()
    }
    missing = frozenset(name for name in needed if name not in images)
    name = root.resolve().name
    return Dataset(name, root, names.classes, splits, missing, cache=hash_cache(work), image_root=root / IMAGES)


def _images(folder: Path) -> dict[str, list[Path]]:
    """Return the images by id; that of ``a/b.jpg`` in a folder below is ``a__b``."""
    return {**images_below(folder), **images_by_id(folder)} if folder.is_dir() else images_by_id(folder)


def _split_files(config: Config, root: Path) -> dict[str, Path]:
    folder = root / LISTS
    found = {path.stem: path for path in sorted(folder.glob("*.txt"))}
    if not found:
        raise InvalidInput(
            f"{folder}: no list of images (*.txt) here.",
            mend=f"Write {folder / 'train.txt'} with one image id per line, and val.txt if there is one.",
        )
    return choose_splits(found, config.splits, where=folder)


def _read_split(path: Path, known: Collection[str]) -> list[tuple[str, Line]]:
    """Return the ids of a list with their lines: ``id``, ``id label``, or ``/JPEGImages/id.jpg /masks/id.png``."""
    return unique_ids(((check_id(_listed(line.text, known), line), line) for line in read_lines(path)), path)


def _listed(text: str, known: Collection[str]) -> str:
    """Return the id that a line names: the whole line where that is an image or a mask, else its first word."""
    # The usual train_aug lists name paths; anything but JPEGImages/<file> stays an error of the id.
    words = [one.removeprefix(f"/{IMAGES}/").removeprefix(f"{IMAGES}/") for one in (text, text.split()[0])]
    names = [without_suffix(word) for word in words]
    ids = [name.replace("/", SEPARATOR) for name in (words[0], *names)]  # "a.png" may be an id, too
    return next((one for one in ids if one in known), names[1])


def _mask_files(config: Config, root: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for folder in reversed(config.masks):
        below = root / folder
        files |= {SEPARATOR.join(path.relative_to(below).with_suffix("").parts): path for path in below.rglob("*.png")}
    return files


def _labels(
    config: Config, root: Path, names: LabelNames, needed: dict[str, Line], masks: dict[str, Path], log: Log
) -> dict[str, Known]:
    table, annotations = root / LABELS, root / ANNOTATIONS
    source = config.labels
    if source == "auto":
        source = "csv" if table.is_file() else "annotations"
        if source == "annotations" and not annotations.is_dir():
            log(f"{root}: neither {LABELS} nor {ANNOTATIONS}/: no image-level labels.")
            return {}
    if source == "csv":
        return read_rows(read_label_table(table), names, Rules(), lambda line: log(f"{table}: {line}"))
    if source == "annotations":
        if not annotations.is_dir():
            raise InvalidInput(f"data.labels: annotations are asked for, and {annotations} is no folder.")
        files = [(name, annotations / f"{name}.xml") for name in needed]
        return {name: (_annotated(path, names), ()) for name, path in files if path.is_file()}
    log("data.labels: masks: image-level labels are derived from pixel labels, as if someone had looked at each image.")
    with_mask = [name for name in needed if name in masks]
    with ThreadPoolExecutor(max_workers=4) as pool:
        seen = pool.map(lambda name: _seen(masks[name], names), with_mask)
        return {name: (classes, ()) for name, classes in zip(with_mask, seen, strict=True)}


def _annotated(path: Path, names: LabelNames) -> tuple[int, ...]:
    """Return the classes of all objects in an annotation, "difficult" ones too: they are in the image."""
    tree = read_xml(path, most=MAX_XML_BYTES)
    found = [(element.findtext("name") or "").strip() for element in tree.iter("object")]
    return names.indices(found, str(path))


def _seen(path: Path, names: LabelNames) -> tuple[int, ...]:
    mask = names.classes.encode(read_mask(path), where=str(path))
    return tuple(int(value) for value in np.unique(mask) if value not in (0, IGNORE))


LAYOUT: Layout[Config] = Layout(
    name="voc",
    config=Config,
    read=read,
    read_incomplete=partial(read, complete=False),
    recognise=recognise,
    looks_for="the folders JPEGImages and ImageSets/Segmentation",
)
