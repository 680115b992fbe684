"""Reader of a plain folder: images, a CSV table of image-level labels, and optional files.

::

    root/images/*            labels.csv       image_id,labels[,split]
         masks/<id>.png      splits/<name>.txt       classes.txt       files.csv
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from wsss.data.class_list import ClassChoice, LabelNames, Other, choose_classes, read_class_list
from wsss.data.dataset import Dataset
from wsss.data.readers.find_images import image_path, images_by_id, require_images, unread_note
from wsss.data.readers.folder_splits import read_split_lists, split_ids, unlisted
from wsss.data.readers.imagefolder import subfolder_note
from wsss.data.readers.label_cells import NEGATIVE_KEY, class_names, read_rows
from wsss.data.readers.label_rules import Rules, no_and_yes
from wsss.data.readers.label_tables import LabelRow, never_apart, read_image_table, read_label_table
from wsss.data.readers.layout import Layout, Log, hash_cache, require_root
from wsss.data.readers.mask_folder_config import MaskFolderConfig, find_masks, resolve_mask_values
from wsss.data.sample import Sample
from wsss.data.sample_ids import check_id
from wsss.errors import InvalidInput, listing
from wsss.io.files.home_paths import expand_home
from wsss.io.files.visible import visible
from wsss.io.rasters.label_masks import BACKGROUND, IGNORED_NAMES

CLASSES = "classes.txt"
SET_IMAGES = (
    "Set the folder of the images: data.images in the pipeline file, --set data.images=DIR for wsss run, --data.images "
    "DIR for other commands."
)


class Config(MaskFolderConfig):
    """``data:`` of a plain folder."""

    layout: Literal["folder"] = "folder"
    root: Path = Field(description="The dataset's folder.")
    images: str = Field("images", description="Folder of the images, relative to root, or an absolute path.")
    files: str | None = Field(
        None,
        description="Table image_id,file, relative to root: the path of each image below the image folder, for images "
        "in subfolders or whose ids are not their names; absent = every image directly in the folder.",
    )
    labels: str = Field("labels.csv", description="Table of image-level labels: image_id,labels[,split].")
    negative: list[str] | None = Field(
        None,
        description="Labels of images without a class; absent = the usual words (ok, good, normal, none, negative, "
        "healthy), unless classes.txt lists them as classes; [] = none.",
    )
    unknown: list[str] = Field([], description="Labels of unlabelled images, in addition to ?.")
    masks: str = Field("masks", description="Folder of ground-truth masks, if any: <id>.png, or .tif, .bmp, .gif.")
    classes: ClassChoice = Field(
        None, description="Names to keep, or new name → id(s) or name(s) it merges; absent = all of classes.txt, or "
        "all names in the label table in alphabetical order."
    )  # fmt: skip
    other: Other = Field("background", description="How mask pixels of unselected classes are read.")
    splits: list[str] | None = Field(None, description="Splits to read; absent = all.")
    val_fraction: float = Field(
        0.2, ge=0, lt=1, description="Fraction of the images in the split val, if no file defines splits."
    )

    @field_validator("images", "labels", "masks", "files")
    @classmethod
    def _expand_home_in_text(cls, value: str | None) -> str | None:
        return None if value is None else str(expand_home(value)) if value.startswith("~") else value


def recognise(root: Path) -> bool:
    """Return whether ``root`` contains a folder images, and labels.csv or classes.txt."""
    return (root / "images").is_dir() and ((root / "labels.csv").is_file() or (root / CLASSES).is_file())


def read(config: Config, *, work: Path, log: Log, complete: bool = True) -> Dataset:
    """Return the dataset; see `wsss.data.readers.layout.Reader`. Images may be missing unless ``complete``."""
    root = require_root(config.root, hint="Set data.root to the dataset's folder.")
    folder = root / config.images
    images = _images(config, root, folder, complete)
    if config.files is None and folder.is_dir():
        for note in filter(None, (unread_note(folder), subfolder_note(folder, masks=root / config.masks))):
            log(note)
    find = partial(image_path, images=images, folder=folder, complete=complete)
    for name in images:
        check_id(name, folder)
        find(name, where=folder)
    table = root / config.labels
    rows = {row.id: row for row in _label_rows(config, table, complete)}
    require_images(((row.id, row.where) for row in rows.values()), find)
    lists = read_split_lists(root, find)
    known = {*images, *rows, *(name for members in lists.values() for name in members)}
    required = complete and "masks" in config.model_fields_set
    masks = find_masks(config, root / config.masks, known, required=required)
    names = _classes(config, root, rows.values(), has_masks=bool(masks.paths), log=log)
    if rows and config.negative is None:
        _note_yes_and_no(names, table, log)
    values = resolve_mask_values(config, names, log)
    labels = read_rows(rows.values(), names, _rules(config), lambda line: log(f"{table}: {line}"), way_out=NEGATIVE_KEY)

    unlabelled = {name for name, (present, _) in labels.items() if present is None}
    ids = split_ids(lists, rows, images, unlabelled, config, root=root, log=log)

    def sample(name: str) -> Sample:
        present, unknown = labels.get(name, (None, ()))
        return Sample(name, find(name, where=root), present, masks.paths.get(name), values, unknown)

    tabled = config.files is not None and not complete
    missing = {name for name, paths in images.items() if tabled and not paths[0].is_file()}
    return Dataset(
        name=root.resolve().name,
        root=root,
        classes=names.classes,
        splits={split: tuple(map(sample, members)) for split, members in ids.items()},
        missing=frozenset(
            name for members in ids.values() for name in members if name not in images or name in missing
        ),
        cache=hash_cache(work),
        image_root=folder,
        remarks=(*masks.remarks(), *unlisted(lists, rows, {*images, *rows}, config, root=root)),
    )


def _rules(config: Config) -> Rules:
    return Rules(None if config.negative is None else tuple(config.negative), tuple(config.unknown))


def _note_yes_and_no(names: LabelNames, table: Path, log: Log) -> None:
    """Log a hint if the only two classes are words for no and yes."""
    pair = no_and_yes(names.classes.foreground)
    if pair is not None:
        no, yes = map(repr, pair)
        log(f"note: {table}: the classes are {no} and {yes}; set data.negative: [{no}] to read {no} as no class.")


def _images(config: Config, root: Path, folder: Path, complete: bool) -> dict[str, list[Path]]:
    """Return the images by id; an incomplete dataset may lack the whole folder."""
    if not folder.is_dir() and complete:
        raise InvalidInput("no such folder of images", subject=folder, hint=SET_IMAGES)
    if config.files is not None:
        images = read_image_table(root / config.files, folder, complete=complete)
    else:
        images = images_by_id(folder) if folder.is_dir() else {}
    if complete and not images:
        raise InvalidInput("no images", subject=folder, hint=SET_IMAGES)
    return images


def _label_rows(config: Config, table: Path, complete: bool) -> list[LabelRow]:
    """Return the rows of the label table.

    Raises:
        InvalidInput: ``data.labels`` names a table that a complete dataset lacks, or see `read_label_table`.
    """
    if table.is_file():
        return read_label_table(table)
    if complete and "labels" in config.model_fields_set:
        tables = [path.name for path in visible(table.parent.glob("*.csv"))]
        raise InvalidInput(
            f"no such label table: {table}",
            subject="data.labels",
            found=config.labels,
            allowed=tables or "a table image_id,labels[,split]",
            hint="Omit data.labels if there are no image-level labels.",
        )
    return []


def _classes(config: Config, root: Path, rows: Iterable[LabelRow], *, has_masks: bool, log: Log) -> LabelNames:
    class_file = root / CLASSES
    if class_file.is_file():
        base = read_class_list(class_file)
    elif config.classes is not None:
        return _selected(config, config.classes, rows, root / config.labels, has_masks=has_masks, log=log)
    elif has_masks and config.mask_values is None:
        raise InvalidInput(
            f"masks without class names: there is no {CLASSES}",
            subject=root,
            hint=f"Write {class_file} with one line 'id name' per class, set data.classes to {{name: id}}, or "
            "data.mask_values to {0: background, VALUE: NAME}.",
        )
    else:
        _note_never_apart(rows, _rules(config), root / config.labels, log)
        base = _numbered(sorted({*class_names(rows, _rules(config)), *_named_in_masks(config)}))
        if not base:
            raise InvalidInput(
                f"no class names in {CLASSES}, {config.labels} or data.classes",
                subject=root,
                hint=f"Write {class_file} with one class name per line.",
            )
    return choose_classes(config.classes, base, other=config.other, where="data.classes")


def _selected(
    config: Config,
    choice: list[str] | dict[str, list[int | str]],
    rows: Iterable[LabelRow],
    table: Path,
    *,
    has_masks: bool,
    log: Log,
) -> LabelNames:
    """Return the classes that ``data.classes`` selects or merges without a class list."""
    named = dict.fromkeys([*(choice if isinstance(choice, list) else ()), *_named_in_masks(config)])
    words: list[str] = []
    if (not has_masks or config.mask_values is not None) and not _has_numbers(choice):
        # else these names would get numbers that are values in masks
        members = [*chain.from_iterable(choice.values())] if isinstance(choice, dict) else choice
        chosen = [*choice, *map(str, members)]
        words = class_names(rows, _rules(config), known=[*chosen, *named])
        _note_left_out(chosen, words, table, log)
        named |= dict.fromkeys(word for word in words if word in members)
    names = choose_classes(
        choice, _numbered([*dict.fromkeys([*named, *words])]), other=config.other, where="data.classes"
    )
    # Any number of other words may occur in the label table, but no mask shows them.
    values = frozenset(_numbered(named).values())
    return replace(names, classes=replace(names.classes, other=names.classes.other & values))


def _note_never_apart(rows: Iterable[LabelRow], rules: Rules, table: Path, log: Log) -> None:
    """Log names with a space that are read as two classes, as far as the table shows it."""
    names = never_apart(row.labels for row in rows if rules.word(row.labels) is None)
    if names:
        log(
            f"note: {table}: read as two classes each, which never occur apart: {listing(names)}. If they are names of "
            f"single classes, list these in {CLASSES}."
        )


def _has_numbers(choice: list[str] | dict[str, list[int | str]]) -> bool:
    """Return whether a choice of classes names values in masks."""
    members = chain.from_iterable(choice.values()) if isinstance(choice, dict) else ()
    return any(isinstance(member, int) for member in members)


def _note_left_out(chosen: Collection[str], words: Iterable[str], table: Path, log: Log) -> None:
    """Log the names in a label table that a choice of classes leaves out; one of them may be misspelt."""
    left_out = [word for word in words if word not in chosen]
    if left_out:
        log(f"note: {table}: labels that data.classes leaves out: {listing(left_out)}")


def _named_in_masks(config: Config) -> list[str]:
    """Return the classes in ``mask_values`` in order, without the merged classes defined by ``classes``."""
    merged = config.classes if isinstance(config.classes, dict) else {}
    names = dict.fromkeys((config.mask_values or {}).values())
    return [name for name in names if name not in (BACKGROUND, IGNORED_NAMES[0], *merged)]


def _numbered(names: Iterable[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names, start=1)}


LAYOUT: Layout[Config] = Layout(
    name="folder",
    config=Config,
    read=read,
    read_incomplete=partial(read, complete=False),
    recognise=recognise,
    looks_for="the folder images, and labels.csv or classes.txt next to it",
)
