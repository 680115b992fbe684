"""``images.json``, the record of predicted masks: their images, their values, and the images that failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from wsss.data.classes import Classes
from wsss.data.sample_ids import check_id
from wsss.errors import InvalidInput
from wsss.io.files.atomic import write_json
from wsss.io.files.contained import below
from wsss.io.files.json_files import read_json
from wsss.io.files.recorded import check_recorded
from wsss.io.rasters.pixel_values.reading import PLAIN, Reading

PREDICTED = "images.json"
PREDICT_AGAIN = "Predict the images again."


@dataclass(frozen=True)
class FailedImage:
    """An image without a mask.

    Args:
        file: its path, relative to the folder of images or as in the dataset.
        reason: why it failed.
    """

    file: str
    reason: str


@dataclass(frozen=True)
class Predicted:
    """The images that a network was applied to.

    Args:
        classes: their values on disk are those of the masks.
        files: id → path of the image, relative to the folder of images; ``None`` for images of a dataset.
        failed: id → image without a mask.
        sources: id → hash of the inputs of the mask, so that it is kept when a failed image is repaired; recorded only
            if an image failed.
        reading: how the images of a folder were converted to 8-bit RGB.
    """

    classes: Classes
    files: Mapping[str, str] | None
    failed: Mapping[str, FailedImage] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    reading: Reading = PLAIN


def write_predicted(folder: Path, predicted: Predicted) -> None:
    """Write ``images.json`` into the folder of a stage, atomically."""
    record: dict[str, Any] = {"classes": predicted.classes.to_json()}
    if predicted.files is not None:
        record["files"] = dict(predicted.files)
        record |= {"reading": predicted.reading.to_json()} if predicted.reading != PLAIN else {}
    if predicted.failed:
        record["failed"] = {name: asdict(image) for name, image in predicted.failed.items()}
        record["sources"] = dict(predicted.sources)
    write_json(folder / PREDICTED, record)


def read_predicted(folder: Path) -> Predicted | None:
    """Read ``images.json``; ``None`` if there is none.

    Raises:
        InvalidInput: the file is broken, or a path leads out of the folder of images.
    """
    path = folder / PREDICTED
    check_recorded(path)
    try:
        predicted = _parse(read_json(path), path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"unreadable ({error})", subject=path, hint=PREDICT_AGAIN) from error
    for file in (predicted.files or {}).values():
        below(Path("the folder of images"), file, where=path, hint=PREDICT_AGAIN)
    return predicted


def _parse(value: Any, path: Path) -> Predicted:
    failed = {
        str(name): FailedImage(str(image["file"]), str(image["reason"]))
        for name, image in value.get("failed", {}).items()
    }
    if "files" not in value and not failed:
        raise KeyError("files")
    for name in (*failed, *value.get("files", {}), *value.get("sources", {})):
        check_id(name, path)  # ids become parts of file names
    return Predicted(
        Classes.from_json(value["classes"]),
        {str(name): str(file) for name, file in value["files"].items()} if "files" in value else None,
        failed,
        {str(name): str(source) for name, source in value.get("sources", {}).items()},
        Reading.from_json(value.get("reading", {})),
    )
