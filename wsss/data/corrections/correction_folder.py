"""The folder of corrected masks: a palette PNG per image, and ``corrections.json``, a record of their origin.

``corrections.json`` holds the classes and, for each image, the source, whether all its pixels are labelled, the number
of labelled pixels and the SHA-256 of the PNG, whose values are those of the classes on disk; 255 = unlabelled.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from wsss.data.artifacts import read_indices
from wsss.data.classes import Classes
from wsss.data.sample_ids import check_id
from wsss.errors import InvalidInput, RunFailed, closest, unreadable
from wsss.io.files.atomic import convert_os_errors, sha256_file, write_bytes, write_json
from wsss.io.files.json_files import read_json
from wsss.io.files.locking import acquire, release
from wsss.io.files.replaced_folder import replaced_folder
from wsss.io.files.stage_files import mask_path
from wsss.io.rasters.label_masks import IGNORE, write_mask
from wsss.validation import Settings, validate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RECORD = "corrections.json"
MADE_BY = "wsss import-masks"
WAIT = 0.3
"""Seconds to wait for another import."""

AGAIN = "Import the masks again: wsss import-masks SOURCE --run RUN --force"


def _valid_id(text: str) -> str:
    try:
        return check_id(text, "images")
    except InvalidInput as error:
        raise ValueError(error.problem) from error


class Correction(Settings):
    """The record of one corrected mask.

    Args:
        source: file of the source, and location in it.
        kind: ``full`` if all pixels are labelled, otherwise ``partial``.
        labelled: number of labelled pixels.
        height, width: size in pixels.
        sha256: of the PNG.
    """

    format: str
    source: str
    kind: Literal["full", "partial"]
    labelled: int = Field(ge=1)
    height: int = Field(ge=1)
    width: int = Field(ge=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class _Record(Settings):
    made_by: Literal["wsss import-masks"]
    version: Literal[1]
    classes: dict[str, Any]
    images: dict[Annotated[str, AfterValidator(_valid_id)], Correction]


@dataclass(frozen=True)
class Corrections:
    """The corrected masks in a folder.

    Args:
        images: image id → record.
    """

    folder: Path
    classes: Classes
    images: Mapping[str, Correction]

    def read(self, id: str, size: tuple[int, int] | None = None) -> NDArray[np.uint8] | None:
        """Return the corrected mask ``(H, W)`` of class indices of an image, 255 = unlabelled; ``None`` if it has none.

        Args:
            size: height and width of the image, if known.

        Raises:
            InvalidInput: the file is missing, was changed after the import, or has another size.
        """
        record = self.images.get(id)
        if record is None:
            return None
        if self.is_damaged(id):
            path = mask_path(self.folder, id)
            problem = "changed after the import" if path.is_file() else "missing"
            raise InvalidInput(f"{problem} (see {RECORD})", subject=path, hint=AGAIN)
        return read_indices(self.folder, id, self.classes, size=size)

    def only(self, id: str) -> Corrections:
        """Return the corrections of one image, for another process: those of all images may be many megabytes."""
        return replace(self, images={id: self.images[id]} if id in self.images else {})

    def is_damaged(self, id: str) -> bool:
        """Return whether the mask of a corrected image is missing, or was changed after the import."""
        path = mask_path(self.folder, id)
        return not path.is_file() or sha256_file(path) != self.images[id].sha256


def is_corrections(folder: Path) -> bool:
    """Return whether a folder has a record of corrected masks."""
    return (folder / RECORD).is_file()


def open_corrections(folder: Path, classes: Classes | None = None) -> Corrections:
    """Return the corrections in a folder.

    Args:
        classes: the classes of the dataset, which the masks must have by names and values; the order may differ.

    Raises:
        InvalidInput: no such folder or record, an invalid record, or other classes.
    """
    path = folder / RECORD
    if not path.is_file():
        hint = "Import corrected masks first: wsss import-masks SOURCE --run RUN"
        raise InvalidInput(f"not a folder of corrected masks (no {RECORD})", subject=folder, hint=hint)
    try:
        record = validate(_Record, _mapping(read_json(path)), where="", locate=lambda keys: str(path))
        found = Classes.from_json(record.classes)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"unreadable ({error})", subject=path, hint=AGAIN) from error
    if classes is not None:
        _require_same(found, classes, path)
    return Corrections(folder, found if classes is None else classes, record.images)


@contextmanager
def sole_import(out: Path) -> Iterator[None]:
    """Hold the lock of a folder inside the block: one of two concurrent imports would discard the other's masks.

    Raises:
        RunFailed: another process is importing masks into the folder, or it cannot be locked.
    """
    lock = Path(os.path.realpath(out))
    lock = lock.with_name(f".wsss-lock-{lock.name}")
    with convert_os_errors(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = acquire(lock, timeout=WAIT)
    if descriptor is None:
        raise RunFailed(
            "another process is importing masks into this folder", subject=out, hint="Wait until it has finished."
        )
    try:
        yield
    finally:
        with suppress(OSError):
            lock.unlink()
        release(descriptor)


def write_corrections(
    out: Path,
    classes: Classes,
    masks: Iterable[tuple[str, NDArray[np.uint8]]],
    sources: Mapping[str, tuple[str, str]],
    kept: Corrections | None = None,
) -> Corrections:
    """Write corrected masks into a folder, which appears (or is replaced) when it is complete.

    Args:
        masks: image id and class indices ``(H, W)``, 255 = unlabelled, of each image; may raise `InvalidInput`.
        sources: id of each of these images → format and location of the source.
        kept: earlier corrections of this folder; those of other images are kept, including damaged ones.

    Raises:
        InvalidInput: a kept mask is unreadable, or see ``masks``; then nothing is written.
        RunFailed: the folder cannot be written.
    """
    records: dict[str, Correction] = {}

    def finish(folder: Path) -> None:
        value = {
            "made_by": MADE_BY,
            "version": 1,
            "classes": classes.to_json(),
            "images": {id: records[id].model_dump() for id in sorted(records)},
        }
        validate(_Record, value, where=RECORD)
        write_json(folder / RECORD, value)

    with replaced_folder(out, finish) as new:
        for id, record in kept.images.items() if kept else ():
            if id not in sources:
                records[id] = record
                _copy(mask_path(out, id), mask_path(new, id))
        for id, mask in masks:
            write_mask(mask_path(new, id), classes.decode(mask))
            records[id] = _record(mask, *sources[id], path=mask_path(new, id))
    return Corrections(out, classes, {id: records[id] for id in sorted(records)})


def _copy(path: Path, target: Path) -> None:
    """Copy the bytes of a mask, whose checksum is in the record; it may be missing."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise unreadable(path, error) from error
    write_bytes(target, content)


def _record(mask: NDArray[np.uint8], format: str, source: str, *, path: Path) -> Correction:
    labelled = int((mask != IGNORE).sum())
    return Correction(
        format=format,
        source=source,
        kind="full" if labelled == mask.size else "partial",
        labelled=labelled,
        height=mask.shape[0],
        width=mask.shape[1],
        sha256=sha256_file(path),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _require_same(found: Classes, classes: Classes, path: Path) -> None:
    """Require the names and written values of the dataset's classes, in any order."""
    ours, theirs = _written(classes), _written(found)
    if ours != theirs:
        other = next((name for name in theirs if ours.get(name) != theirs[name]), "")
        near = closest(other, ours) if other and other not in ours else ""
        raise InvalidInput(
            f"the corrected masks have different classes{near}",
            subject=path,
            found=[f"{name} {value}" for name, value in theirs.items()],
            allowed=[f"{name} {value}" for name, value in ours.items()],
            hint="Import the masks again with the classes of this dataset.",
        )


def _written(classes: Classes) -> dict[str, int]:
    return {name: values[0] for name, values in zip(classes.names, classes.values, strict=True)}
