"""Folders of masks: of a run, of a stage, or any folder; and the masks in them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.errors import InvalidInput, counted, listing
from wsss.io.rasters.mask_files import MASK_SUFFIXES, masks_by_id, masks_by_name, masks_folder
from wsss.pipeline.plan.external_inputs import artifact_at
from wsss.pipeline.stage import Artifact
from wsss.pipeline.store.outdated import note_left_out, records_of_run, warn_of_outdated
from wsss.pipeline.store.run_folder import read_run
from wsss.pipeline.store.stage_folder import read_record

if TYPE_CHECKING:
    from wsss.pipeline.run.progress import Reporter

KINDS = ("masks",)


def find_folder(folder: Path, stage: str | None, reporter: Reporter) -> tuple[Path, str, Mapping[str, Any] | None]:
    """Return the folder with the masks (or ``masks/``), its display name, and the record of its run.

    Args:
        folder: a run directory, the folder of a stage, or a folder of masks.
        stage: id of a stage of the run; by default the last stage with masks.
        reporter: logs which stage was chosen.

    Raises:
        InvalidInput: folder or stage does not exist, or the stage is unfinished or has no masks.
    """
    run = read_run(folder)
    if run is not None:
        chosen = _stage_of_run(folder, stage, run, reporter.log)
        _artifact(folder / chosen, f"--stage {chosen}:", reporter)
        return folder / chosen, f"{run['name']}/{chosen}", run
    if stage is not None:
        raise InvalidInput(
            f"{folder} is not a run directory",
            subject=f"--stage {stage}",
            hint="Pass the folder of the run, or omit --stage.",
        )
    if not folder.is_dir():
        raise InvalidInput(
            "no such folder", subject=folder, hint="Pass a run, the folder of a stage, or a folder of masks."
        )
    artifact = _artifact(folder, "RUN", reporter)
    parent_run = read_run(folder.resolve().parent) if artifact.id else None
    return folder, artifact.id or folder.resolve().name, parent_run


def _artifact(folder: Path, option: str, reporter: Reporter) -> Artifact:
    """Return a finished stage, or a prediction in which only some images failed; see `artifact_at`."""
    record = read_record(folder)
    warn_of_outdated([folder], option, reporter.log)
    if record is not None and _is_usable(folder, record):
        return Artifact(folder, id=record.get("id"), uses=record.get("uses"))
    return artifact_at(folder, KINDS, option, reporter.log)


def _is_usable(folder: Path, record: Mapping[str, Any]) -> bool:
    """Return whether a failed stage recorded the images that failed, so that all other masks are complete."""
    from wsss.data.masks.predicted_masks import read_predicted

    if record.get("status") != "failed" or record.get("provides") not in KINDS:
        return False
    predicted = read_predicted(folder)
    return predicted is not None and bool(predicted.failed)


def _stage_of_run(folder: Path, requested: str | None, run: Mapping[str, Any], log: Callable[[str], None]) -> str:
    """Return the id of the requested stage or, without one, of the last stage with masks."""
    records = records_of_run(folder, run)
    ids, with_masks = [*records], [id for id, record in records.items() if record.get("provides") in KINDS]
    if requested is not None:
        if requested not in ids:
            allowed = with_masks or "a stage with masks, but there is none"
            raise InvalidInput(f"no such stage in {folder}", subject="--stage", found=requested, allowed=allowed)
        return requested
    done = [id for id in with_masks if records[id].get("status") == "done" or _is_usable(folder / id, records[id])]
    note_left_out(folder, {id: records[id] for id in with_masks}, log)
    if not done:
        raise InvalidInput(
            "no finished stage of this run has masks",
            subject=folder,
            hint="Run the pipeline first (wsss run); wsss status shows its progress.",
        )
    if len(done) > 1:
        log(f"Exporting the masks of {done[-1]}; choose others with --stage: {listing(done[:-1], limit=8)}.")
    return done[-1]


def mask_files(folder: Path, log: Callable[[str], None], ids: Collection[str] = ()) -> dict[str, Path]:
    """Return id → mask: those of the images ``ids`` (see `masks_by_id`), and all others by their file names.

    Raises:
        InvalidInput: the folder has no mask, or two with the same id.
    """
    directory = masks_folder(folder)
    matched = masks_by_id(directory, ids).paths
    used = set(matched.values())
    files = {**matched, **{id: path for id, path in masks_by_name(directory).items() if path not in used}}
    below = [path.relative_to(directory).as_posix() for path in sorted(directory.glob("*/*")) if _is_mask(path)]
    if not files:
        raise InvalidInput(
            "no masks in this folder or in its subfolder masks/; expected ID.png (or .tif, .bmp, .gif)",
            subject=folder,
            hint=f"Pass the folder with the masks: {directory / below[0].rpartition('/')[0]}." if below else None,
        )
    if below and directory != folder:
        log(f"note: {counted(len(below), 'mask')} in subfolders of {directory} skipped: {listing(below)}.")
    return dict(sorted(files.items()))


def holds_masks(folder: Path) -> bool:
    """Return whether a folder appears to contain masks: its first PNG has a palette or one channel."""
    from wsss.io.rasters.rgb_images import open_image

    for path in png_files(folder)[:1]:
        try:
            with open_image(path, decode=False) as image:
                return image.mode in ("P", "L", "1")
        except InvalidInput:
            return True  # a broken mask is reported when it is read
    return False


def png_files(folder: Path) -> list[Path]:
    """Return the mask files in a folder, or in ``masks/`` below it; empty if the folder does not exist."""
    directory = masks_folder(folder)
    return [path for path in sorted(directory.iterdir()) if _is_mask(path)] if directory.is_dir() else []


def _is_mask(path: Path) -> bool:
    return path.suffix.lower() in MASK_SUFFIXES and not path.name.startswith(".") and path.is_file()
