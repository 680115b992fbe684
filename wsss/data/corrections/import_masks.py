"""Import of masks: read a source, match it to a dataset, draw the masks, and add them to a folder of corrections."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wsss.data.corrections.correction_folder import (
    RECORD,
    Corrections,
    is_corrections,
    open_corrections,
    sole_import,
    write_corrections,
)
from wsss.data.corrections.draw_corrections import Drawing
from wsss.data.corrections.drawing_rules import AnnotatedImage, DrawingRules, is_skipped
from wsss.data.corrections.match_samples import match_samples
from wsss.data.corrections.source_formats import opened_source, read_source
from wsss.errors import InvalidInput, listing
from wsss.io.files.replaced_folder import restore_killed
from wsss.io.files.stage_files import mask_path

if TYPE_CHECKING:
    from wsss.data.dataset import Dataset
    from wsss.data.sample import Sample


AS_BACKGROUND = "--empty background"


@dataclass(frozen=True)
class ImportOptions:
    """What to import.

    Args:
        format: one of `wsss.data.corrections.source_formats.FORMATS`; detected by default.
        ids: only these images.
        force: replace earlier corrections of the same images.
    """

    format: str | None = None
    rules: DrawingRules = field(default_factory=DrawingRules)
    ids: Collection[str] = ()
    force: bool = False


@dataclass(frozen=True)
class Imported:
    """The result of an import.

    Args:
        ids: the images that it added or replaced.
        corrections: all corrections.
        skipped: names of the images without regions, which were left out.
        invisible: locations of the regions that cover no pixel.
        damaged: earlier corrections whose masks are missing or were changed; they are not repaired.
        several: ids of the images with several annotations; only one was imported for each.
        excluded: ids of the images whose masks show a class that their labels exclude.
    """

    format: str
    ids: tuple[str, ...]
    corrections: Corrections
    skipped: tuple[str, ...] = ()
    invisible: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    several: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


def import_masks(
    source: Path,
    data: Dataset,
    out: Path,
    options: ImportOptions | None = None,
    *,
    start: Callable[[int], Callable[[int], None]] = lambda total: lambda steps: None,
) -> Imported:
    """Read masks in any format, and add them to a folder of corrections; nothing is written if one is invalid.

    Args:
        source: a file, an archive or a folder.
        data: the dataset whose images were annotated.
        options: see `ImportOptions`.
        start: called with the number of images; returns a function to call with the number of images done.

    Raises:
        InvalidInput: an invalid source, an unknown image or class, a mask of another size or without a labelled pixel,
            or an image that has a correction already; names file and image.
        RunFailed: the folder cannot be written, or another process imports masks into it.
    """
    options = options or ImportOptions()
    with sole_import(out), opened_source(source) as path:
        kept = _earlier(out, data)
        try:
            name, listed = read_source(path, data.classes, options.format)
            chosen = _chosen(path, listed, data, options)
            _refuse_corrected([sample.id for _, sample in chosen], kept, out, force=options.force)
            origins = {sample.id: (name, _shown(image.where, path, source)) for image, sample in chosen}
            drawing = Drawing(path, chosen, data.classes, options.rules, start(len(chosen)))
            corrections = write_corrections(out, data.classes, drawing.masks(), origins, kept)
        except InvalidInput as error:
            if path == source:
                raise
            raise _within(error, path, source) from error
    return Imported(
        name,
        tuple(origins),
        corrections,
        skipped=tuple(image.name for image in listed if is_skipped(image, options.rules)),
        invisible=tuple(_shown(where, path, source) for where in drawing.invisible),
        damaged=tuple(id for id in corrections.images if id not in origins and corrections.is_damaged(id)),
        several=tuple(sample.id for image, sample in chosen if image.others),
        excluded=tuple(drawing.excluded),
    )


def _chosen(
    path: Path, listed: list[AnnotatedImage], data: Dataset, options: ImportOptions
) -> list[tuple[AnnotatedImage, Sample]]:
    """Return the images to import, with their samples.

    Raises:
        InvalidInput: there are none, or see `match_samples`.
    """
    images = [image for image in listed if not is_skipped(image, options.rules)]
    if not images:
        raise _nothing(path, listed)
    return match_samples(images, data, options.ids)


def _nothing(path: Path, listed: list[AnnotatedImage]) -> InvalidInput:
    """Return the error for a source without any annotated image."""
    names = listing(image.name for image in listed)
    problem = f"no image has a region: {names}" if listed else "no annotated image in this source"
    return InvalidInput(
        problem, subject=path, hint=f"To import them as background: {AS_BACKGROUND}" if listed else None
    )


def _earlier(out: Path, data: Dataset) -> Corrections | None:
    """Return the corrections that the folder already contains.

    Raises:
        InvalidInput: the folder contains other files, or corrections of other classes.
    """
    subject, hint = f"--out {out}", "Choose another folder with --out."
    restore_killed(out)
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise InvalidInput("not a folder", subject=subject, hint=hint)
    if is_corrections(out):
        corrections = open_corrections(out, data.classes)
        _refuse_foreign(corrections)
        return corrections
    if out.is_dir() and any(out.iterdir()):
        raise InvalidInput("the folder is not empty, but contains no corrected masks", subject=subject, hint=hint)
    return None


def _refuse_foreign(corrections: Corrections) -> None:
    """Refuse a folder with other files, which would be deleted with the folder that an import replaces."""
    folder = corrections.folder
    own = {folder / RECORD, *(mask_path(folder, id) for id in corrections.images)}
    found = (path for path in sorted(folder.rglob("*")) if not path.is_dir() and path not in own)
    foreign = [name for path in found if not (name := path.relative_to(folder).as_posix()).startswith(".")]
    if foreign:
        problem = f"the folder holds other files, which an import would delete: {listing(foreign)}"
        raise InvalidInput(problem, subject=folder, hint="Move them elsewhere.")


def _refuse_corrected(ids: list[str], kept: Corrections | None, out: Path, *, force: bool) -> None:
    twice = [id for id in ids if kept is not None and id in kept.images]
    if twice and not force:
        raise InvalidInput(
            f"{len(twice)} of {len(ids)} images already have corrected masks: {listing(twice)}",
            subject=out,
            hint="Replace them with --force, or import only the other images (--ids).",
        )


def _within(error: InvalidInput, path: Path, source: Path) -> InvalidInput:
    """Return an error that names the source instead of the folder into which it was unpacked."""
    return InvalidInput(
        error.problem.replace(str(path), str(source)),
        subject=None if error.subject is None else error.subject.replace(str(path), str(source)),
        found=error.found,
        allowed=error.allowed,
        hint=error.hint,
        errors=error.errors,
    )


def _shown(where: str, path: Path, source: Path) -> str:
    """Return a location without the folders above the source, which differ between machines."""
    if path == Path():
        return where  # relative to the working directory
    return where.replace(str(path), source.name).removeprefix(f"{source.name}/") or source.name
