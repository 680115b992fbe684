"""Images and their labels: matching, inspection of every image, and a list of everything that does not fit."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wsss.data.checks.check_report import Collector
from wsss.data.checks.inspection import Inspection, inspect_sample
from wsss.data.classes import Classes
from wsss.data.image_ids import image_ids
from wsss.data.importers.importer_registry import read_labels
from wsss.data.importers.listing import Listing, list_images
from wsss.data.importers.match_images import Finder, Match
from wsss.data.importers.name_notes import note_classes, note_names
from wsss.data.importers.rules.imported_labels import Entry, Labels
from wsss.data.importers.rules.joined_entries import CONTRADICTION, join_entries
from wsss.data.importers.rules.read_context import ReadContext, ReadOptions
from wsss.data.manifest import ContentHashes
from wsss.data.sample import Sample
from wsss.errors import InvalidInput, counted, listing
from wsss.io.process.thread_map import map_in_threads
from wsss.io.rasters.pixel_values.reading import PLAIN, Reading

WITHOUT_IMAGE = "labels without an image, left out"
AMBIGUOUS = "labels that match several images, left out"
LESS_EXACT = "labels that match an image less exactly than others, left out"
RIVALS = "labels under several names that match one image equally well, left out"
NOT_READ = "labels of unreadable image files, left out"
JOINED = "images that the labels name twice, merged"
UNPREFIXED = "images matched without the prefix of an upload to Label Studio"
UNSHOWN = "classes that no image shows, left out"

_NO_CLASSES = Classes(("background",), ((0,),))


@dataclass(frozen=True)
class ImportedImage:
    """A readable image.

    Args:
        id: unique, also ignoring case.
        file: path below the images' folder, with ``/``.
        labels: classes in the image; ``None``: unlabelled.
        split: split of the image, if the labels name one.
        digest: SHA-256 of its bytes.
        inspection: result of reading it.
        unknown: classes whose presence is unknown.
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
    """Images and their labels.

    Args:
        classes: classes that at least one image shows, in the order of the labels.
        images: all readable images, by file.
        problems, notes: everything that does not fit, and decisions made.
        reading: how the images are converted to 8-bit RGB.
    """

    folder: Path
    format: str
    classes: tuple[str, ...]
    images: tuple[ImportedImage, ...]
    problems: Collector
    notes: Collector
    reading: Reading = PLAIN

    @property
    def labelled(self) -> tuple[ImportedImage, ...]:
        """The images that have labels."""
        return tuple(image for image in self.images if image.labels is not None)


def gather(
    images: Path,
    labels: Path | None,
    options: ReadOptions | None = None,
    *,
    reading: Reading = PLAIN,
    start: Callable[[int], Callable[[int], None]] = lambda total: lambda steps: None,
) -> Gathered:
    """Read the labels, match them to images, and read every image once.

    Args:
        images: folder of the images, which may have subfolders.
        labels: label file, or ``None`` for a folder per class.
        reading: how the images are converted to 8-bit RGB.
        start: called with the number of images; returns a function to call with the number of images done.

    Raises:
        InvalidInput: a missing or invalid folder or file, no label of a readable image, or no class in any image.
    """
    problems, notes = Collector(), Collector()
    listed = list_images(images, known=[path for path in (labels, options.classes if options else None) if path])
    read = read_labels(images, listed.images, labels, options)
    files = [file for file in listed.images if file not in read.left_out]
    _add(notes, (*read.notes, *listed.notes))
    entries = _match(read, images, listed, problems, notes)
    if not entries:
        raise _no_match(read, images, labels, files, problems)
    ids = image_ids(files)
    note_names(ids, notes)
    imported = _inspect(images, ids, entries, reading, problems, notes, start)
    if labels is None:
        imported = _join_equal(imported, notes)
    else:
        _note_equal(imported, notes)
    classes = _classes(read, imported, notes)
    imported = _without_unknown(imported, classes, notes)
    notes.add("images without labels", *(i.file for i in imported if i.labels is None and i.file not in entries))
    gathered = Gathered(images, read.format, classes, tuple(imported), problems, notes, reading)
    if not gathered.labelled:
        raise InvalidInput(
            f"none of the labelled images can be read{problems.listed()}", subject=images, hint=problems.hint
        )
    if not classes:
        raise InvalidInput(
            f"none of the {counted(len(gathered.labelled), 'readable labelled image')} shows any of the classes "
            f"({listing(read.classes)}), so there is nothing to learn{problems.listed()}",
            subject=labels or images,
            hint="Label at least some images with a class.",
        )
    return gathered


def _add(collector: Collector, findings: Sequence[tuple[str, str]]) -> None:
    for kind, message in findings:
        collector.add(kind, message)


def _no_match(
    read: Labels, images: Path, labels: Path | None, files: Sequence[str], problems: Collector
) -> InvalidInput:
    findings = problems.listed(besides=WITHOUT_IMAGE)
    if findings:
        return InvalidInput(f"no label matches exactly one image in {images}{findings}", subject=labels or images)
    return InvalidInput(
        f"no image in {images} matches the labels\n"
        f"  {counted(len(read.entries), 'label')}: {listing([entry.image for entry in read.entries], limit=3)}\n"
        f"  {counted(len(files), 'image')}: {listing(files, limit=3)}",
        subject=labels or images,
        hint="Pass the folder that the names in the labels are relative to: --images FOLDER",
    )


def _match(read: Labels, images: Path, listed: Listing, problems: Collector, notes: Collector) -> dict[str, Entry]:
    """Return file → entry; several entries that match one file are joined."""
    finder = Finder(listed.images, root=images.absolute().name, unread=listed.unsupported)
    matches: dict[str, list[tuple[Entry, Match]]] = defaultdict(list)
    for entry in read.entries:
        match = finder.find(entry.image)
        message = f"{entry.where}: {entry.image!r}"
        if len(match.files) == 1:
            matches[match.files[0]].append((entry, match))
        elif match.files:
            problems.add(AMBIGUOUS, f"{message}: {listing(match.files, limit=3)}")
        elif match.unread:
            reason = listed.unsupported[match.unread[0]]
            problems.add(NOT_READ, f"{message}: the file {match.unread[0]} exists, but {reason}")
        else:
            elsewhere = f" (in another folder: {listing(match.elsewhere, limit=3)})" if match.elsewhere else ""
            problems.add(WITHOUT_IMAGE, f"{message}{elsewhere}")
    entries: dict[str, Entry] = {}
    for file, pairs in matches.items():
        if exact := _most_exact(file, pairs, problems):
            entry, match = exact[0]
            if match.difference:
                notes.add(f"images matched despite a different {match.difference}", f"{entry.image} → {file}")
            if match.unprefixed:
                notes.add(UNPREFIXED, f"{entry.image} → {file}")
            entries[file] = _join(file, [entry for entry, _ in exact], notes)
    notes.add("images whose labels are unknown", *(file for file, entry in entries.items() if entry.labels is None))
    return entries


def _most_exact(file: str, pairs: list[tuple[Entry, Match]], problems: Collector) -> list[tuple[Entry, Match]]:
    """Return the entries that certainly mean a file: a less exact name may be that of a missing image."""
    least = min(match.distance for _, match in pairs)
    exact = [(entry, match) for entry, match in pairs if match.distance == least]
    best = exact[0][0]
    for entry, match in pairs:
        if match.distance != least:
            problems.add(LESS_EXACT, f"{entry.where}: {entry.image!r} ({file} is {best.image!r} at {best.where})")
    if len({match.name for _, match in exact}) > 1:
        rivals = ", ".join(f"{entry.where}: {entry.image!r}" for entry, _ in exact)
        problems.add(RIVALS, f"{rivals} → {file}")
        return []
    return exact


def _join(file: str, entries: Sequence[Entry], notes: Collector) -> Entry:
    """Return one entry with the labels of all, which must name one split."""
    first, *others = entries
    context = ReadContext()
    for entry in others:
        notes.add(JOINED, f"{first.image} and {entry.image}")
        first = join_entries(first, entry, context, image=file)
    _add(notes, context.notes)
    return first


def _inspect(
    folder: Path,
    ids: Mapping[str, str],
    entries: Mapping[str, Entry],
    reading: Reading,
    problems: Collector,
    notes: Collector,
    start: Callable[[int], Callable[[int], None]],
) -> list[ImportedImage]:
    """Read every image once; unreadable images are left out."""
    hashes = ContentHashes(None)

    def inspect(file: str) -> tuple[str, Inspection, str]:
        inspection = inspect_sample(Sample(ids[file], folder / file, reading=reading), _NO_CLASSES)
        return file, inspection, "" if inspection.problems else hashes.of(folder / file)

    images: list[ImportedImage] = []
    for file, inspection, digest in map_in_threads(inspect, ids, workers=4, advance=start(len(ids))):
        _add(problems, [(f"{kind}, left out", message) for kind, message in inspection.problems])
        _add(notes, inspection.notes)
        if not inspection.problems:
            entry = entries.get(file, Entry(file, None, ""))
            clean = replace(inspection, notes=())
            images.append(ImportedImage(ids[file], file, entry.labels, entry.split, digest, clean, entry.unknown))
    return images


def _equal(images: Sequence[ImportedImage]) -> list[list[ImportedImage]]:
    """Return groups of equal images of one split with different labels."""
    groups: dict[tuple[str, str | None], list[ImportedImage]] = defaultdict(list)
    for image in images:
        if image.labels is not None:
            groups[image.digest, image.split].append(image)
    return [group for group in groups.values() if len({image.labels for image in group}) > 1]


def _join_equal(images: Sequence[ImportedImage], notes: Collector) -> list[ImportedImage]:
    """Join copies of an image in the folders of several classes: it shows all of them."""
    dropped: set[str] = set()
    labels: dict[str, tuple[str, ...]] = {}
    for group in _equal(images):
        labels[group[0].id] = tuple(dict.fromkeys(name for image in group for name in image.labels or ()))
        dropped |= {image.id for image in group[1:]}
        contradiction = any(not image.labels for image in group)
        kind = CONTRADICTION if contradiction else "images in the folders of several classes, merged with all labels"
        notes.add(kind, " and ".join(image.file for image in group))
    return [replace(i, labels=labels.get(i.id, i.labels)) for i in images if i.id not in dropped]


def _note_equal(images: Sequence[ImportedImage], notes: Collector) -> None:
    """Note identical images with different labels: at least one of them is wrong or incomplete."""
    for group in _equal(images):
        labels = (f"{image.file} ({', '.join(image.labels or ()) or 'no class'})" for image in group)
        notes.add("identical images with different labels", " and ".join(labels))


def _without_unknown(images: Sequence[ImportedImage], classes: Sequence[str], notes: Collector) -> list[ImportedImage]:
    """Return the images, unlabelled where the presence of all classes that some image shows is unknown."""

    def nothing_known(image: ImportedImage) -> bool:
        return image.labels == () and bool(classes) and set(image.unknown) >= set(classes)

    notes.add("images whose labels are all unknown: read as unlabelled", *(i.file for i in images if nothing_known(i)))
    return [replace(image, labels=None, unknown=()) if nothing_known(image) else image for image in images]


def _classes(read: Labels, images: Sequence[ImportedImage], notes: Collector) -> tuple[str, ...]:
    """Return the classes that some readable image shows."""
    shown = Counter(name for image in images for name in image.labels or ())
    notes.add(UNSHOWN, *(name for name in read.classes if not shown[name]))
    classes = tuple(name for name in read.classes if shown[name])
    note_classes(classes, notes, separable=read.separable)
    return classes
