"""`wsss init`: from images and labels of any format to a folder with a pipeline that can be run."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wsss.data.checks.check import Report, check_dataset
from wsss.data.importers.gather import Gathered, Picture
from wsss.data.importers.holdout import TRAIN, VAL, stratified
from wsss.data.importers.pipeline_text import IMAGENET, NONE, Setting, pipeline_text
from wsss.data.importers.recipe import choose
from wsss.data.readers.label_rules import UNKNOWN_MARK
from wsss.data.sample import Classes, Dataset, Sample
from wsss.data.sample_ids import check_id, without_suffix
from wsss.errors import InvalidInput, counted, listing
from wsss.io.files.atomic import explain_os_errors, write_text
from wsss.io.files.contained import check_link, delete_file
from wsss.io.text.tables import csv_text

PIPELINE, LABELS, CLASSES, FILES, LISTS = "pipeline.yaml", "image_labels.csv", "classes.txt", "files.csv", "splits"
UNLABELLED = "unlabelled"


@dataclass(frozen=True)
class Project:
    """What will be written.

    Args:
        out: the folder.
        files: name below ``out`` → text.
        report: counts, and what was found; as of `wsss.data.checks.check.check_dataset`.
        unfit: some of the problems remain in what is written, so that `wsss data check` finds them there, too.
    """

    out: Path
    files: dict[str, str]
    report: Report
    unfit: bool = False


def plan_project(
    gathered: Gathered, out: Path, *, name: str, val_share: float = 0.2, seed: int = 0, weights: str | Path = IMAGENET
) -> Project:
    """Deal the images out to splits, choose settings, and compose all files.

    Args:
        gathered: images and labels.
        out: folder of the pipeline and of what it reads.
        name: of the pipeline.
        val_share: share of the labelled images that becomes ``val``, where the labels name no splits.
        seed: of the split.
        weights: ``"imagenet"``, ``"none"``, or a file of initial weights.

    Raises:
        InvalidInput: some labelled images have a split and others don't, or none is in ``train``; its images leave a
            classifier nothing to tell apart; or a weights file is missing.
    """
    if isinstance(weights, Path) and not weights.is_file():
        raise InvalidInput(
            f"--weights: {weights}: no such file.",
            hint=f"Give a file, {IMAGENET} (a download) or {NONE} (random ones).",
        )
    members = _splits(gathered, val_share, seed)
    _require_absent(gathered, members[TRAIN])
    report = _report(gathered, members)
    table = any("/" in picture.file or picture.id != without_suffix(picture.file) for picture in gathered.pictures)
    sides = [max(picture.inspection.size or (0, 0)) for picture in gathered.pictures]
    labelled = sum(len(pictures) for split, pictures in members.items() if split != UNLABELLED)
    setting = Setting(
        name=name,
        description=f"Masks from image-level labels: {counted(labelled, 'labelled image')}, "
        f"{counted(len(gathered.classes), 'class', 'classes')}",
        root=out.resolve(),
        images=gathered.folder.resolve(),
        files=FILES if table else None,
        splits=[split for split in members if split != UNLABELLED],
        unlabelled=UNLABELLED if UNLABELLED in members else None,
        weights=weights.resolve() if isinstance(weights, Path) else weights,
        recipe=choose(len(members[TRAIN]), sides, pretrained=weights != NONE),
    )
    files = {
        PIPELINE: pipeline_text(setting),
        LABELS: csv_text([("image_id", "labels"), *((p.id, _cell(p, gathered.classes)) for p in gathered.labelled)]),
        CLASSES: "".join(f"{number} {kind}\n" for number, kind in enumerate(gathered.classes, start=1)),
        **{f"{LISTS}/{split}.txt": "".join(f"{p.id}\n" for p in pictures) for split, pictures in members.items()},
    }
    if table:
        files[FILES] = csv_text([("image_id", "file"), *((picture.id, picture.file) for picture in gathered.pictures)])
    left_out = {finding.kind for finding in gathered.problems.findings()}
    return Project(out, files, report, unfit=any(finding.kind not in left_out for finding in report.problems))


def write_project(project: Project, *, force: bool = False, keep: Sequence[Path] = ()) -> Path:
    """Write the files; the pipeline comes last.

    Args:
        project: what `plan_project` has made.
        force: replace the files of an earlier call.
        keep: files that are never replaced: the label file that was read.

    Returns:
        The pipeline's path.

    Raises:
        InvalidInput: files of this name are there already.
        RunFailed: the folder can't be written to.
    """
    out = project.out
    known = [out / name for name in (PIPELINE, LABELS, CLASSES, FILES)]
    old = [path for path in [*known, *sorted((out / LISTS).glob("*.txt"))] if path.exists()]
    sources = {path.resolve() for path in keep}
    read_only = [path for path in old if path.resolve() in sources]
    if read_only:
        raise InvalidInput(
            f"{read_only[0]}: the labels are read from this file, and would be replaced.",
            hint="Choose another folder: --out DIR",
        )
    if old and not force:
        raise InvalidInput(
            f"{out}: there is {listing([path.relative_to(out) for path in old])} already.",
            hint="Choose another folder (--out DIR), or replace these files: --force",
        )
    check_link(out / LISTS, out)
    with explain_os_errors(out):
        for path in old:  # an old list of a split that is no more would be read, too
            delete_file(path)
    for name, text in sorted(project.files.items(), key=lambda item: item[0] == PIPELINE):
        write_text(out / name, text)
    return out / PIPELINE


def default_name(images: Path) -> str:
    """Return a pipeline's name after the images' folder, or the folder above where that is just called images."""
    folder = images.resolve()
    word = folder.parent.name if folder.name.lower() in ("images", "imgs", "jpegimages", "data") else folder.name
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", word) if not unicodedata.combining(sign))
    return re.sub(r"[^\w.-]+", "-", plain, flags=re.ASCII).strip("-._") or "mine"


def _splits(gathered: Gathered, val_share: float, seed: int) -> dict[str, list[Picture]]:
    """Return split → images: as the labels say, else stratified; images without labels are a split of their own."""
    labelled = gathered.labelled
    given = {picture.split for picture in labelled}
    members: dict[str, list[Picture]] = {}
    if given == {None}:
        copies: dict[str, list[str]] = defaultdict(list)
        for picture in labelled:
            copies[picture.digest].append(picture.id)
        equal = [group for group in copies.values() if len(group) > 1]
        parts = stratified({p.id: p.labels or () for p in labelled}, val_share, seed=seed, equal=equal)
        members = {part: [p for p in labelled if parts[p.id] == part] for part in (TRAIN, VAL)}
    else:
        for picture in labelled:
            if picture.split is None:
                raise InvalidInput(f"Image {picture.file} is in no split, and others are in {listing(given - {None})}.")
            members.setdefault(check_id(picture.split, "split"), []).append(picture)
    members = {split: pictures for split, pictures in members.items() if pictures}
    if TRAIN not in members:
        raise InvalidInput(
            f"The labels put the images into the splits {listing(members)}; one of them has to be called {TRAIN!r}."
        )
    if UNLABELLED in members:
        raise InvalidInput(f"The labels put images into a split {UNLABELLED!r}, which is for images without labels.")
    without = [picture for picture in gathered.pictures if picture.labels is None]
    return {**members, UNLABELLED: without} if without else members


def _require_absent(gathered: Gathered, train: Sequence[Picture]) -> None:
    """Refuse training images that all show every class; note classes that all of them show.

    Raises:
        InvalidInput: no class is absent from any image.
    """
    lacking = {name for p in train for name in gathered.classes if name not in (*(p.labels or ()), *p.unknown)}
    everywhere = [name for name in gathered.classes if name not in lacking]
    if everywhere and not lacking:
        raise InvalidInput(
            f"{gathered.folder}: all {len(train)} training images show {listing(map(repr, everywhere))}: a classifier "
            "has nothing to tell apart, and no masks can be learnt from such labels.",
            hint="Add images without the class: rows with an empty label or one such as ok (--negative NAME takes any "
            "other word), or a folder of them called ok, good or normal. Images that all show it can be cut into "
            "tiles instead: wsss data tiles --help",
        )
    shown = [p.labels for p in gathered.labelled]
    if len(gathered.classes) == 2 and all(labels is not None and len(labels) == 1 for labels in shown):
        pair = " or ".join(map(repr, gathered.classes))
        gathered.notes.add(
            "two classes, and every image shows exactly one (if one means that nothing is there: --negative NAME)", pair
        )
    kind = "classes that every training image shows, so that nothing tells where they are"
    gathered.notes.add(kind, *everywhere)


def _report(gathered: Gathered, members: dict[str, list[Picture]]) -> Report:
    classes = Classes(("background", *gathered.classes), tuple((n,) for n in range(len(gathered.classes) + 1)))
    splits = {
        split: tuple(
            Sample(
                p.id,
                gathered.folder / p.file,
                None if p.labels is None else tuple(sorted(classes.index(name) for name in p.labels)),
                unknown=tuple(sorted(classes.index(name) for name in p.unknown if name in classes.foreground)),
            )
            for p in pictures
        )
        for split, pictures in members.items()
    }
    dataset = Dataset(gathered.folder.resolve().name, gathered.folder, classes, splits)
    report = check_dataset(dataset, inspected={p.id: p.inspection for p in gathered.pictures})
    told = [finding for finding in report.notes if finding.kind != "splits without image-level labels"]
    problems = (*gathered.problems.findings(), *report.problems)
    return replace(report, problems=problems, notes=(*gathered.notes.findings(), *told))


def _cell(picture: Picture, classes: Sequence[str]) -> str:
    """Return an image's labels in the order of the classes, separated so that names may have spaces in them."""
    labels = [name for name in classes if name in (picture.labels or ())]
    return ";".join([*labels, *(f"{UNKNOWN_MARK}{name}" for name in classes if name in picture.unknown)])
