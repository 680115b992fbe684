"""Images and labels brought together: which file each label belongs to, what is broken, what doesn't fit."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from wsss.data.checks.check import Collector
from wsss.data.checks.inspection import Inspection, inspect_sample
from wsss.data.image_ids import fold, image_ids, is_cut, renamed
from wsss.data.importers.importer_registry import How, read_labels
from wsss.data.importers.listing import Listing, list_images
from wsss.data.importers.match_images import Finder, Found
from wsss.data.importers.rules.imported_labels import CONTRADICTION, Entry, Labels, joined_entry
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.manifest import ContentHashes
from wsss.data.sample import Classes, Sample
from wsss.data.sample_ids import without_suffix
from wsss.errors import InvalidInput, counted, listing

NO_CLASSES = Classes(("background",), ((0,),))
WITHOUT_IMAGE = "labels without an image, left out"
RENAMED = "images whose ids, and masks, have other names than their files (files.csv lists them)"
NOT_READ = "labels of image files that can't be read, left out"


@dataclass(frozen=True)
class Picture:
    """A readable image.

    Args:
        id: unique, also where case is ignored.
        file: its path below the images' folder, with ``/``.
        labels: names of its classes, or ``None`` where they aren't known.
        split: the split that the labels put it into, if they do.
        digest: SHA-256 of its bytes.
        inspection: what was found in it.
        unknown: names of the classes that may or may not be in it.
    """

    id: str
    file: str
    labels: tuple[str, ...] | None
    split: str | None
    digest: str
    inspection: Inspection
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gathered:
    """What `gather` returns.

    Args:
        folder: of the images.
        format: of the labels, in words.
        classes: names of the classes that at least one image shows, in the order of the labels.
        pictures: all readable images, by file.
        problems, notes: what else was found.
    """

    folder: Path
    format: str
    classes: tuple[str, ...]
    pictures: tuple[Picture, ...]
    problems: Collector
    notes: Collector

    @property
    def labelled(self) -> tuple[Picture, ...]:
        """The images that have labels."""
        return tuple(picture for picture in self.pictures if picture.labels is not None)


def gather(
    images: Path,
    labels: Path | None,
    how: How | None = None,
    *,
    start: Callable[[int], Callable[[int], None]] = lambda total: lambda steps: None,
) -> Gathered:
    """Read the labels, find the image of each, and read every image once.

    Args:
        images: folder of the images; they may lie in subfolders.
        labels: label file, or ``None`` for a folder per class.
        how: see `wsss.data.importers.importer_registry.How`.
        start: given the number of images, returns what is called with the number of images done.

    Raises:
        InvalidInput: a folder or file is missing or wrong, no label belongs to a readable image, or no such image shows
            a class.
    """
    problems, notes = Collector(), Collector()
    listed = list_images(images, known=[path for path in (labels, how.classes if how else None) if path])
    read = read_labels(images, listed.images, labels, how)
    files = [file for file in listed.images if file not in read.left_out]
    for kind, message in (*read.notes, *listed.notes):
        notes.add(kind, message)
    entries = _match(read, images, listed, problems, notes)
    if not entries:
        doubts = _told(problems, besides=WITHOUT_IMAGE)
        if doubts:
            raise InvalidInput(f"No label belongs to one image in {images} for certain.{doubts}")
        raise InvalidInput(
            f"None of the {counted(len(read.entries), 'image')} that {labels or images} names is among the "
            f"{len(files)} in {images}.\n  labels: {listing([entry.image for entry in read.entries], limit=3)}\n"
            f"  images: {listing(files, limit=3)}",
            hint="Give the folder that the names in the labels are relative to: --images FOLDER",
        )
    ids = image_ids(files)
    cut = (f"{file} → {name}" for file, name in ids.items() if is_cut(file, name))
    notes.add("images of long names, cut in the names of their masks", *cut)
    others = {file: name for file, name in renamed(ids).items() if not is_cut(file, name)}
    if others:
        example = next(f"{file} → {name}" for file, name in others.items())
        notes.add(RENAMED, f"{counted(len(others), 'image')}, such as {example}")
    pictures = _inspect(images, ids, entries, problems, notes, start)
    if labels is None:
        pictures = _join_equal(pictures, notes)
    else:
        _note_equal(pictures, notes)
    _note_twins(files, notes)
    classes = _classes(read, pictures, notes)
    without = [picture.file for picture in pictures if picture.labels is None and picture.file not in entries]
    notes.add("images without labels", *without)
    gathered = Gathered(images, read.format, classes, tuple(pictures), problems, notes)
    if not gathered.labelled:
        raise InvalidInput(f"{images}: none of the images that have labels can be read.")
    if not classes:
        raise InvalidInput(
            f"{labels or images}: no image shows any of its classes ({listing(read.classes)}); there is nothing to "
            f"learn. Images that have labels and can be read: {len(gathered.labelled)}.{_told(problems)}",
            hint="Name the classes of at least some images.",
        )
    return gathered


def _told(problems: Collector, *, besides: str = "") -> str:
    """Return what was found, a line each, for the end of an error."""
    found = problems.messages.items()
    return "".join(f"\n  {kind}: {listing(messages, limit=3)}" for kind, messages in found if kind != besides)


def _match(read: Labels, images: Path, listed: Listing, problems: Collector, notes: Collector) -> dict[str, Entry]:
    """Return file → its entry; several entries that mean one file are joined."""
    finder = Finder(listed.images, root=images.absolute().name, unread=listed.unread)
    matches: dict[str, list[tuple[Entry, Found]]] = defaultdict(list)
    for entry in read.entries:
        found = finder.find(entry.image)
        message = f"{entry.where}: {entry.image!r}"
        if len(found.files) == 1:
            matches[found.files[0]].append((entry, found))
        elif found.files:
            problems.add("labels that fit several images, left out", f"{message}: {listing(found.files, limit=3)}")
        elif found.unread:
            reason = listed.unread[found.unread[0]]
            problems.add(NOT_READ, f"{message}: the file {found.unread[0]} exists, but {reason}")
        else:
            hint = f" (in another folder: {listing(found.elsewhere, limit=3)})" if found.elsewhere else ""
            problems.add(WITHOUT_IMAGE, f"{message}{hint}")
    entries: dict[str, Entry] = {}
    for file, pairs in matches.items():
        if exact := _most_exact(file, pairs, problems):
            loosely = exact[0][1].loosely
            if loosely:
                kind = f"images found although the labels' names differ in {loosely}"
                notes.add(kind, f"{exact[0][0].image} → {file}")
            if exact[0][1].unprefixed:
                kind = "images found by their names without the prefix of an upload to Label Studio"
                notes.add(kind, f"{exact[0][0].image} → {file}")
            entries[file] = _join(file, [entry for entry, _ in exact], notes)
    notes.add("images whose labels are unknown", *(file for file, entry in entries.items() if entry.labels is None))
    return entries


def _most_exact(file: str, pairs: list[tuple[Entry, Found]], problems: Collector) -> list[tuple[Entry, Found]]:
    """Return those of one file's entries that certainly mean it: what names it less exactly may mean a lost image."""
    least = min(found.distance for _, found in pairs)
    exact = [(entry, found) for entry, found in pairs if found.distance == least]
    for entry, found in pairs:
        if found.distance != least:
            kind = "labels that fit an image less exactly than others do, left out"
            best = exact[0][0]
            problems.add(kind, f"{entry.where}: {entry.image!r} ({file} is {best.image!r} at {best.where})")
    if len({found.name for _, found in exact}) > 1:
        rivals = ", ".join(f"{entry.where}: {entry.image!r}" for entry, _ in exact)
        problems.add("labels under several names that fit one image alike, left out", f"{rivals} → {file}")
        return []
    return exact


def _join(file: str, entries: Sequence[Entry], notes: Collector) -> Entry:
    """Return one entry with the labels of all.

    Raises:
        InvalidInput: they put the image into different splits.
    """
    first, *others = entries
    context = ReadContext()
    for entry in others:
        notes.add("images that the labels name twice, joined", f"{first.image} and {entry.image}")
        first = joined_entry(first, entry, context, image=file)
    for kind, message in context.notes:
        notes.add(kind, message)
    return first


def _inspect(
    folder: Path,
    ids: Mapping[str, str],
    entries: Mapping[str, Entry],
    problems: Collector,
    notes: Collector,
    start: Callable[[int], Callable[[int], None]],
) -> list[Picture]:
    """Read every image once; those that can't be read are left out."""
    hashes, advance = ContentHashes(None), start(len(ids))

    def look(file: str) -> tuple[str, Inspection, str]:
        inspection = inspect_sample(Sample(ids[file], folder / file), NO_CLASSES)
        return file, inspection, "" if inspection.problems else hashes.of(folder / file)

    pictures: list[Picture] = []
    with ThreadPoolExecutor(max_workers=4) as pool:
        for file, inspection, digest in pool.map(look, ids):
            advance(1)
            for kind, message in inspection.problems:
                problems.add(f"{kind}, left out", message)
            for kind, message in inspection.notes:
                notes.add(kind, message)
            if not inspection.problems:
                entry = entries.get(file)
                labels, split, unknown = (entry.labels, entry.split, entry.unknown) if entry else (None, None, ())
                found = replace(inspection, notes=())
                pictures.append(Picture(ids[file], file, labels, split, digest, found, unknown))
    return pictures


def _equal(pictures: Sequence[Picture]) -> list[list[Picture]]:
    """Return groups of equal images of one split whose labels differ."""
    groups: dict[tuple[str, str | None], list[Picture]] = defaultdict(list)
    for picture in pictures:
        if picture.labels is not None:
            groups[picture.digest, picture.split].append(picture)
    return [group for group in groups.values() if len({picture.labels for picture in group}) > 1]


def _join_equal(pictures: Sequence[Picture], notes: Collector) -> list[Picture]:
    """Join copies of one image that lie in the folders of several classes: it shows all of them."""
    dropped: set[str] = set()
    labels: dict[str, tuple[str, ...]] = {}
    for group in _equal(pictures):
        labels[group[0].id] = tuple(dict.fromkeys(name for picture in group for name in picture.labels or ()))
        dropped |= {picture.id for picture in group[1:]}
        files = " and ".join(picture.file for picture in group)
        negative = any(not picture.labels for picture in group)
        notes.add(
            CONTRADICTION if negative else "images in the folders of several classes, joined with all labels", files
        )
    return [replace(p, labels=labels.get(p.id, p.labels)) for p in pictures if p.id not in dropped]


def _note_equal(pictures: Sequence[Picture], notes: Collector) -> None:
    """Note equal images whose labels differ: at least one of them is wrong or incomplete."""
    for group in _equal(pictures):
        said = (f"{picture.file} ({', '.join(picture.labels or ()) or 'no class'})" for picture in group)
        notes.add("equal images with different labels", " and ".join(said))


def _note_twins(files: Sequence[str], notes: Collector) -> None:
    groups: dict[str, list[str]] = defaultdict(list)
    for file in files:
        groups[fold(without_suffix(file))].append(file)
    kind = "images whose names differ only in case or suffix"
    notes.add(kind, *(" and ".join(group) for group in groups.values() if len(group) > 1))


def _classes(read: Labels, pictures: Sequence[Picture], notes: Collector) -> tuple[str, ...]:
    """Return the classes that some readable image shows."""
    shown = Counter(name for picture in pictures for name in picture.labels or ())
    notes.add("classes that no image shows, left out", *(name for name in read.classes if not shown[name]))
    classes = tuple(name for name in read.classes if shown[name])
    folded: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        folded[fold(name)].append(name)
    twins = (" and ".join(map(repr, names)) for names in folded.values() if len(names) > 1)
    notes.add("classes whose names differ only in case", *twins)
    return classes
