"""Reader of the PASCAL VOC layout: JPEGImages, SegmentationClass, ImageSets/Segmentation, Annotations."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field

from wsss.data.class_list import VOC_IDS, ClassChoice, LabelNames, Other, choose_classes, read_class_list
from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.data.image_ids import SEPARATOR
from wsss.data.masks.ground_truth import check_truth
from wsss.data.readers.find_images import image_path, images_by_id, require_images, unread_note
from wsss.data.readers.imagefolder import images_below
from wsss.data.readers.label_cells import Known, read_rows
from wsss.data.readers.label_rules import Rules
from wsss.data.readers.label_tables import choose_splits, read_label_table
from wsss.data.readers.layout import Layout, Log, hash_cache, require_root
from wsss.data.readers.mask_folder_config import MaskFolderConfig, find_masks, resolve_mask_values
from wsss.data.sample import Sample
from wsss.data.sample_ids import check_id, unique_ids, without_suffix
from wsss.data.sample_mask import read_sample_mask
from wsss.errors import InvalidInput, listing
from wsss.io.files.visible import visible
from wsss.io.rasters.label_masks import foreground_values
from wsss.io.rasters.mask_files import MASK_SUFFIXES, MaskFiles
from wsss.io.text.text_files import Line, read_lines
from wsss.io.text.xml_files import read_xml

IMAGES = "JPEGImages"
LISTS = Path("ImageSets") / "Segmentation"
ANNOTATIONS = "Annotations"
LABELS = "image_labels.csv"
CLASSES = "classes.txt"
MAX_XML_BYTES = 4_000_000
"""VOC's own annotations are below 20 kB."""


class Config(MaskFolderConfig):
    """``data:`` of a folder in PASCAL VOC layout."""

    layout: Literal["voc"] = "voc"
    root: Path = Field(description="The folder that contains JPEGImages, usually VOCdevkit/VOC2012.")
    classes: ClassChoice = Field(
        None, description="Names to keep, or new name → id(s) or name(s) it merges; absent = all."
    )
    # VOC's background is everything but the classes, so unselected classes become background, like trees and computers.
    # Ignoring them would hide false positives from every score.
    other: Other = Field("background", description="How mask pixels of unselected classes are read.")
    splits: list[str] | None = Field(None, description="Lists in ImageSets/Segmentation to read; absent = all.")
    labels: Literal["auto", "csv", "annotations", "masks"] = Field(
        "auto",
        description="Source of image-level labels: image_labels.csv, Annotations/*.xml, or pixel labels; auto = "
        "image_labels.csv if it exists, otherwise Annotations.",
    )
    masks: list[str] = Field(
        ["SegmentationClass", "SegmentationClassAug"],
        description="Folders of masks; the first that has a mask of an image is used.",
    )


def recognise(root: Path) -> bool:
    """Return whether ``root`` contains JPEGImages and ImageSets/Segmentation."""
    return (root / IMAGES).is_dir() and (root / LISTS).is_dir()


def read(config: Config, *, work: Path, log: Log, complete: bool = True) -> Dataset:
    """Return the dataset; see `wsss.data.readers.layout.Reader`. Images may be missing unless ``complete``."""
    root = require_root(config.root, hint="Set data.root to the folder with JPEGImages.")
    class_file = root / CLASSES
    base = read_class_list(class_file) if class_file.is_file() else VOC_IDS
    names = choose_classes(config.classes, base, other=config.other, where="data.classes")
    values = resolve_mask_values(config, names, log)
    images = _images(root / IMAGES) if complete or (root / IMAGES).is_dir() else {}
    if (note := unread_note(root / IMAGES)) is not None:
        log(note)
    known = images.keys() | _mask_names(config, root)
    lists = {name: _read_split(path, config, known, log) for name, path in _split_files(config, root).items()}
    needed = {name: line for entries in lists.values() for name, line in entries}
    folders = _mask_folders(config, root, {*images, *needed}, complete)
    masks = {name: path for folder in reversed(folders) for name, path in folder.paths.items()}

    find = partial(image_path, images=images, folder=root / IMAGES, complete=complete)
    require_images(needed.items(), find)

    def sample(name: str, line: Line) -> Sample:
        return Sample(name, find(name, where=line), mask=masks.get(name), mask_values=values)

    unlabelled = {split: [sample(name, line) for name, line in entries] for split, entries in lists.items()}
    labels = _labels(config, root, names, {sample.id: sample for split in unlabelled.values() for sample in split}, log)
    splits = {
        name: tuple(_labelled(sample, labels.get(sample.id)) for sample in split) for name, split in unlabelled.items()
    }
    return Dataset(
        name=root.resolve().name,
        root=root,
        classes=names.classes,
        splits=splits,
        missing=frozenset(name for name in needed if name not in images),
        cache=hash_cache(work),
        image_root=root / IMAGES,
        remarks=tuple(remark for folder in folders for remark in folder.remarks()),
    )


def _labelled(sample: Sample, labels: Known | None) -> Sample:
    present, unknown = labels or (None, ())
    return replace(sample, labels=present, unknown=unknown)


def _images(folder: Path) -> dict[str, list[Path]]:
    """Return the images by id; ``a/b.jpg`` in a subfolder has the id ``a__b``."""
    return {**images_below(folder), **images_by_id(folder)} if folder.is_dir() else images_by_id(folder)


def _split_files(config: Config, root: Path) -> dict[str, Path]:
    folder = root / LISTS
    files = {path.stem: path for path in visible(folder.glob("*.txt"))}
    if not files:
        raise InvalidInput(
            "no list of images (*.txt)",
            subject=folder,
            hint=f"Write {folder / 'train.txt'} with one image id per line, and val.txt for validation.",
        )
    return choose_splits(files, config.splits, where=folder)


def _read_split(path: Path, config: Config, known: Collection[str], log: Log) -> list[tuple[str, Line]]:
    """Return the ids of a list with their lines: ``id``, ``id label``, or ``/JPEGImages/id.jpg /masks/id.png``.

    A line that is a ``known`` id as a whole is that id, including spaces.
    """
    marks: set[str] = set()
    mask_folders: set[str] = set()

    def entries() -> Iterator[tuple[str, Line]]:
        for line in read_lines(path):
            first, *further = [line.text] if _id(line.text, known) in known else line.text.split()
            # train_aug lists contain paths; those outside JPEGImages are invalid ids.
            name = check_id(_id(first, known), line)
            if further and "/" in further[0]:
                mask_folders.add(_folder_of_mask(further[0], name, line))
            elif further:
                marks.add(further[0])
            yield name, line

    ids = unique_ids(entries(), path)
    if marks and marks <= {"-1", "0", "1"}:  # ImageSets/Main/cat_train.txt
        log(f"note: {path}: the column of -1, 0 and 1 is ignored; the split contains all {len(ids)} images.")
    unused = sorted(mask_folders - set(config.masks))
    if unused:
        log(f"note: {path} lists masks in {listing(unused)}; masks are read from {listing(config.masks)} (data.masks).")
    return ids


def _id(text: str, known: Collection[str]) -> str:
    """Return the id of a path in a list: ``a__b`` for ``a/b.jpg`` if it is known, otherwise the name without suffix."""
    below = _below(IMAGES, text)
    name = without_suffix(below)
    ids = [file.replace("/", SEPARATOR) for file in (below, name)]  # "a.png" may be an id too
    return next((id for id in ids if id in known), name)


def _below(folder: str, path: str) -> str:
    """Remove everything up to ``folder/`` from a path in a list (``/JPEGImages/a.jpg``)."""
    before, separator, name = path.rpartition(f"{folder}/")
    return name if separator and (not before or before.endswith("/")) and ".." not in before.split("/") else path


def _folder_of_mask(path: str, image: str, line: Line) -> str:
    """Return the folder of a mask in a list, without the subfolders that are part of the id ``a__b``.

    Raises:
        InvalidInput: mask and image have different names.
    """
    mask = PurePosixPath(path)
    parts = (*mask.parent.parts, mask.stem)
    depths = (depth for depth in range(1, len(parts)) if SEPARATOR.join(parts[-depth:]) == image)
    depth = next(depths, None)
    if depth is None:
        raise InvalidInput(
            f"mask {path!r} of image {image!r} is not named after its image",
            subject=line,
            hint=f"Rename it to {image}.png, or delete the mask column from the list.",
        )
    return parts[-depth - 1]


def _mask_folders(config: Config, root: Path, ids: Collection[str], complete: bool) -> list[MaskFiles]:
    """Return the masks of each folder, in the order of ``data.masks``."""
    required = (
        complete and "masks" in config.model_fields_set and not any((root / folder).is_dir() for folder in config.masks)
    )
    folders = [find_masks(config, root / folder, ids, required=required) for folder in config.masks]
    return [replace(masks, paths={**_below_folder(masks.folder, ids), **masks.paths}) for masks in folders]


def _below_folder(folder: Path, ids: Collection[str]) -> dict[str, Path]:
    """Return the masks in subfolders; ``a/b.png`` is the mask of image ``a__b``."""
    return {name: path for name, path in _masks_in(folder).items() if path.parent != folder and name in ids}


def _mask_names(config: Config, root: Path) -> set[str]:
    return {name for folder in config.masks for name in _masks_in(root / folder)}


def _masks_in(folder: Path) -> dict[str, Path]:
    paths = (path for path in visible(folder.rglob("*.*")) if path.suffix.lower() in MASK_SUFFIXES)
    return {SEPARATOR.join(path.relative_to(folder).with_suffix("").parts): path for path in paths}


def _labels(config: Config, root: Path, names: LabelNames, needed: Mapping[str, Sample], log: Log) -> dict[str, Known]:
    table, annotations = root / LABELS, root / ANNOTATIONS
    source = config.labels
    if source == "auto":
        source = "csv" if table.is_file() else "annotations"
        if source == "annotations" and not annotations.is_dir():
            log(f"{root}: no image-level labels ({LABELS} or {ANNOTATIONS}/).")
            return {}
    if source == "csv":
        return read_rows(read_label_table(table), names, Rules(), lambda line: log(f"{table}: {line}"))
    if source == "annotations":
        if not annotations.is_dir():
            raise InvalidInput(f"no such folder: {annotations}", subject="data.labels: annotations")
        files = [(name, annotations / f"{name}.xml") for name in needed]
        return {name: (_annotated(path, names), ()) for name, path in files if path.is_file()}
    log("data.labels: masks: image-level labels are derived from pixel labels.")
    with_mask = [sample for sample in needed.values() if sample.mask is not None]
    check_truth(with_mask, names.classes, where="data.labels: masks")
    with ThreadPoolExecutor(max_workers=4) as pool:
        seen = pool.map(lambda sample: _classes_in_mask(sample, names.classes), with_mask)
        return {sample.id: (classes, ()) for sample, classes in zip(with_mask, seen, strict=True)}


def _annotated(path: Path, names: LabelNames) -> tuple[int, ...]:
    """Return the classes of all objects in an annotation, including "difficult" ones."""
    tree = read_xml(path, max_bytes=MAX_XML_BYTES)
    return names.indices([(element.findtext("name") or "").strip() for element in tree.iter("object")], str(path))


def _classes_in_mask(sample: Sample, classes: Classes) -> tuple[int, ...]:
    return tuple(foreground_values(read_sample_mask(sample, classes)))


LAYOUT: Layout[Config] = Layout(
    name="voc",
    config=Config,
    read=read,
    read_incomplete=partial(read, complete=False),
    recognise=recognise,
    looks_for="the folders JPEGImages and ImageSets/Segmentation",
)
