"""The folder of masks that is meant by a run, a stage's folder, or any folder; and the masks in it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.errors import InvalidInput, closest, counted, listing
from wsss.io.rasters.mask_files import MASK_SUFFIXES, masks_alone, masks_by_id, masks_folder
from wsss.pipeline.plan.external_inputs import artifact_at
from wsss.pipeline.stage import Artifact
from wsss.pipeline.store.run_folder import read_run
from wsss.pipeline.store.stage_folder import read_record

if TYPE_CHECKING:
    from wsss.pipeline.run.progress import Reporter

KINDS = ("masks",)


def find_folder(folder: Path, stage: str | None, reporter: Reporter) -> tuple[Path, str, Mapping[str, Any] | None]:
    """Return the folder that holds the masks or ``masks/``, what to call it, and the record of its run.

    Args:
        folder: a run directory, a stage's folder, or a folder of masks.
        stage: id of a stage of the run; by default the last that has masks.
        reporter: prints which stage was chosen.

    Raises:
        InvalidInput: no such folder or stage, a stage that isn't finished or makes no masks.
    """
    run = read_run(folder)
    if run is not None:
        chosen = _stage_of_run(folder, stage, run, reporter.log)
        _artifact(folder / chosen, f"--stage {chosen}:", reporter)
        return folder / chosen, f"{run['name']}/{chosen}", run
    if stage is not None:
        raise InvalidInput(
            f"--stage {stage}: {folder} is no run directory, so it has no stages.",
            hint="Name the run's folder, or leave --stage out.",
        )
    if not folder.is_dir():
        raise InvalidInput(f"{folder}: no such folder.", hint="Name a run, a stage's folder or a folder of masks.")
    artifact = _artifact(folder, "RUN", reporter)
    above = read_run(folder.resolve().parent) if artifact.id else None
    return folder, artifact.id or folder.resolve().name, above


def _artifact(folder: Path, option: str, reporter: Reporter) -> Artifact:
    """Return a finished stage, or a prediction of which some images failed; see `artifact_at`."""
    record = read_record(folder)
    if record is not None and _is_usable(folder, record):
        return Artifact(folder, id=record.get("id"), uses=record.get("uses"))
    return artifact_at(folder, KINDS, option, reporter.log)


def _is_usable(folder: Path, record: Mapping[str, Any]) -> bool:
    """Whether a stage failed at some images only, and recorded which: the other masks are complete."""
    from wsss.data.masks.predicted_masks import read_predicted

    if record.get("status") != "failed" or record.get("provides") not in KINDS:
        return False
    predicted = read_predicted(folder)
    return predicted is not None and bool(predicted.failed)


def _stage_of_run(folder: Path, wanted: str | None, run: Mapping[str, Any], log: Callable[[str], None]) -> str:
    """Return the id of the stage: the one asked for, or the last of the pipeline that has made masks."""
    known = [str(stage["id"]) for stage in run.get("stages", [])]
    records = {one: read_record(folder / one) or {} for one in known}
    makers = [one for one in known if records[one].get("provides") in KINDS]
    done = [one for one in makers if records[one].get("status") == "done" or _is_usable(folder / one, records[one])]
    if wanted is not None:
        if wanted not in known:
            raise InvalidInput(
                f"--stage {wanted}: {folder} has no such stage; those with masks are "
                f"{listing(makers, limit=20) or 'none'}{closest(wanted, makers)}"
            )
        return wanted
    if not done:
        raise InvalidInput(
            f"{folder}: no finished stage of this run has masks.", hint="Run it first: wsss run, wsss status."
        )
    if len(done) > 1:
        log(f"Exporting the masks of {done[-1]}; --stage takes {listing(done[:-1], limit=8)}, too.")
    return done[-1]


def mask_files(folder: Path, log: Callable[[str], None], ids: Collection[str] = ()) -> dict[str, Path]:
    """Return the masks by id: those of the images ``ids`` (see `masks_by_id`), and all others by their own names.

    Raises:
        InvalidInput: there is none, or there are two of one id.
    """
    place = masks_folder(folder)
    known = masks_by_id(place, ids).found
    used = set(known.values())
    files = {**known, **{one: path for one, path in masks_alone(place).items() if path not in used}}
    below = [path.relative_to(place).as_posix() for path in sorted(place.glob("*/*")) if _is_mask(path)]
    if not files:
        raise InvalidInput(
            f"{folder}: no mask here; masks are looked for as ID.png (or .tif, .bmp, .gif), in the folder or in masks/ "
            "below it.",
            hint=f"Name the folder that holds them: {place / below[0].rpartition('/')[0]}." if below else None,
        )
    if below and place != folder:
        log(f"note: {counted(len(below), 'mask')} in folders below {place}, left out: {listing(below)}.")
    return dict(sorted(files.items()))


def holds_masks(folder: Path) -> bool:
    """Return whether a folder seems to hold masks: its first PNG has a palette or one channel."""
    from wsss.io.rasters.rgb_images import open_image

    for path in png_files(folder)[:1]:
        try:
            with open_image(path, decode=False) as image:
                return image.mode in ("P", "L", "1")
        except InvalidInput:
            return True  # a broken mask is reported when it is read
    return False


def png_files(folder: Path) -> list[Path]:
    """Return the PNG files in a folder, or in ``masks/`` below it; none where it is no folder."""
    inside = folder / "masks"
    place = inside if inside.is_dir() else folder
    return [path for path in sorted(place.iterdir()) if _is_mask(path)] if place.is_dir() else []


def _is_mask(path: Path) -> bool:
    return path.suffix.lower() in MASK_SUFFIXES and not path.name.startswith(".") and path.is_file()
