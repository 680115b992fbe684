"""Import of masks: read a source, match it to a dataset, draw the masks, and add them to a folder of corrections."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wsss.data.classes import Classes, renumber
from wsss.data.corrections.correction_folder import (
    RECORD,
    Corrections,
    is_corrections,
    open_corrections,
    sole_import,
    write_corrections,
)
from wsss.data.corrections.drawing_rules import AnnotatedImage, DrawingRules, drawn_mask, is_skipped
from wsss.data.corrections.match_samples import match_samples
from wsss.data.corrections.source_formats import opened_source, read_source
from wsss.errors import InvalidInput, listing, together
from wsss.io.files.replaced_folder import restore_killed
from wsss.io.files.stage_files import mask_path
from wsss.io.rasters.label_masks import IGNORE
from wsss.io.rasters.rgb_images import image_size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsss.data.dataset import Dataset
    from wsss.data.sample import Sample


AS_BACKGROUND = "--empty background"


@dataclass(frozen=True)
class ImportOptions:
    """What to import.

    Args:
        format: one of `wsss.data.corrections.source_formats.FORMATS`; by default it is recognised.
        rules: meaning of regions.
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
        format: format of the source.
        ids: the images that it added or replaced.
        corrections: all corrections.
        skipped: names of the images without regions, which were left out.
        invisible: locations of the regions that cover no pixel.
        damaged: earlier corrections whose masks are missing or were changed, and which stay so.
    """

    format: str
    ids: tuple[str, ...]
    corrections: Corrections
    skipped: tuple[str, ...] = ()
    invisible: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()


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
        out: the folder of corrections.
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
            masks, invisible = _drawn(chosen, data, options.rules, start(len(chosen)))
            if all(image.by_value for image, _ in chosen):
                _refuse_binary(masks, data.classes, path)
        except InvalidInput as error:
            if path == source:
                raise
            raise _within(error, path, source) from error
        origins = {sample.id: (name, _shown(image.where, path, source)) for image, sample in chosen}
        corrections = write_corrections(out, data.classes, masks, origins, kept)
    return Imported(
        name,
        tuple(masks),
        corrections,
        skipped=tuple(image.name for image in listed if is_skipped(image, options.rules)),
        invisible=tuple(_shown(where, path, source) for where in invisible),
        damaged=tuple(id for id in corrections.images if id not in masks and corrections.is_damaged(id)),
    )


def _chosen(
    path: Path, listed: list[AnnotatedImage], data: Dataset, options: ImportOptions
) -> list[tuple[AnnotatedImage, Sample]]:
    """Return the images to import, with their samples.

    Raises:
        InvalidInput: there is none, or see `match_samples`.
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
    """Return the corrections that the folder has already.

    Raises:
        InvalidInput: the folder holds something else, or corrections of other classes.
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
        raise InvalidInput("the folder is not empty, and holds no corrected masks", subject=subject, hint=hint)
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
            f"{len(twice)} of {len(ids)} images have corrected masks already: {listing(twice)}",
            subject=out,
            hint="Replace them with --force, or import the other images only (--ids).",
        )


def _drawn(
    chosen: list[tuple[AnnotatedImage, Sample]], data: Dataset, rules: DrawingRules, advance: Callable[[int], None]
) -> tuple[dict[str, NDArray[np.uint8]], list[str]]:
    """Return id → mask, and the locations of regions that cover no pixel.

    Raises:
        InvalidInput: some masks are invalid; lists all of them.
    """
    masks: dict[str, NDArray[np.uint8]] = {}
    invisible: list[str] = []
    errors: list[InvalidInput] = []
    for image, sample in chosen:
        try:
            mask, unseen = drawn_mask(image, image_size(sample.image), data.classes, rules)
            if (mask == IGNORE).all():
                raise InvalidInput(
                    "no labelled pixel: all are 255, which means unlabelled",
                    subject=image.where,
                    hint="Draw at least one region, or leave the image out (--ids).",
                )
            masks[sample.id] = mask
            invisible += unseen
        except InvalidInput as error:
            errors.append(error if sample.id in str(error.subject) else error.within(f"image {sample.id}"))
        advance(1)
    if errors:
        raise together(errors, len(chosen), "masks cannot be imported", hint="Nothing was imported.")
    return masks, invisible


def _refuse_binary(masks: Mapping[str, NDArray[np.uint8]], classes: Classes, path: Path) -> None:
    """Refuse masks whose values are 0 and 255: their objects would be unlabelled.

    Raises:
        InvalidInput: no mask shows a class, and 255 occurs.
    """
    ignored = sum(bool((mask == IGNORE).any()) for mask in masks.values())
    shown = any(bool(((mask > 0) & (mask < IGNORE)).any()) for mask in masks.values())
    if ignored and not shown:
        raise InvalidInput(
            f"no pixel of any mask has a foreground class, and {ignored} of {len(masks)} masks contain 255, which "
            "means unlabelled",
            subject=path,
            hint=f"If 255 means a class, {renumber(classes)}.",
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
    return where.replace(str(path), source.name).removeprefix(f"{source.name}/") or source.name
