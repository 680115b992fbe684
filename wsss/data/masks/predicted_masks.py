"""``images.json``: what predicted masks are of, what their values mean, and which images failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsss.data.sample import Classes
from wsss.data.sample_ids import check_id
from wsss.errors import InvalidInput
from wsss.io.files.atomic import write_json
from wsss.io.files.contained import below
from wsss.io.files.recorded import check_recorded
from wsss.io.text.json_files import read_json

PREDICTED = "images.json"


@dataclass(frozen=True)
class FailedImage:
    """An image without a mask.

    Args:
        file: its path: below the folder of images, or as the dataset has it.
        reason: why it couldn't be processed.
    """

    file: str
    reason: str


@dataclass(frozen=True)
class Predicted:
    """What a network was applied to.

    Args:
        classes: their values on disk are those of the masks.
        files: id → path of the image, relative to the folder of images; ``None`` where a dataset has the images.
        failed: id → image without a mask.
        sources: id → hash of what the mask was made from, so that the others are kept when a failed image is repaired;
            recorded only where an image failed.
    """

    classes: Classes
    files: Mapping[str, str] | None
    failed: Mapping[str, FailedImage] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)


def write_predicted(folder: Path, predicted: Predicted) -> None:
    """Write ``images.json`` into the folder of a stage, atomically."""
    record: dict[str, Any] = {"classes": predicted.classes.to_json()}
    if predicted.files is not None:
        record["files"] = dict(predicted.files)
    if predicted.failed:
        record["failed"] = {one: {"file": why.file, "reason": why.reason} for one, why in predicted.failed.items()}
        record["sources"] = dict(predicted.sources)
    write_json(folder / PREDICTED, record)


def read_predicted(folder: Path) -> Predicted | None:
    """Read ``images.json``, ``None`` where there is none.

    Raises:
        InvalidInput: it is broken, or a path leads out of the folder of images.
    """
    path = folder / PREDICTED
    check_recorded(path)
    try:
        predicted = _parse(read_json(path), path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{path}: can't be read ({error}).", hint="Predict the images again.") from error
    for file in (predicted.files or {}).values():
        below(Path("the folder of images"), file, where=path, hint="Predict the images again.")
    return predicted


def _parse(value: Any, path: Path) -> Predicted:
    failed = {
        str(one): FailedImage(str(why["file"]), str(why["reason"])) for one, why in value.get("failed", {}).items()
    }
    if "files" not in value and not failed:
        raise KeyError("files")
    for one in (*failed, *value.get("files", {}), *value.get("sources", {})):
        check_id(one, path)  # part of the names of files that are deleted and written
    return Predicted(
        Classes.from_json(value["classes"]),
        {str(one): str(file) for one, file in value["files"].items()} if "files" in value else None,
        failed,
        {str(one): str(source) for one, source in value.get("sources", {}).items()},
    )
