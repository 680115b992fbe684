"""``images.json``: what masks of a folder of images are of and what their values mean, where no dataset says it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wsss.data.sample import Classes
from wsss.errors import InvalidInput
from wsss.io.atomic import write_json
from wsss.io.recorded import check_recorded

PREDICTED = "images.json"


@dataclass(frozen=True)
class Predicted:
    """What a network was applied to.

    Args:
        classes: of the network; their values on disk are those of the masks.
        files: id → path of the image, relative to the folder of images.
    """

    classes: Classes
    files: Mapping[str, str]


def write_predicted(folder: Path, predicted: Predicted) -> None:
    """Write ``images.json`` into the folder of a stage, atomically."""
    write_json(folder / PREDICTED, {"classes": predicted.classes.to_json(), "files": dict(predicted.files)})


def read_predicted(folder: Path) -> Predicted | None:
    """Read ``images.json``, ``None`` where there is none.

    Raises:
        InvalidInput: it is broken, or a path leads out of the folder of images.
    """
    path = folder / PREDICTED
    check_recorded(path)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        files = {str(one): str(file) for one, file in value["files"].items()}
        predicted = Predicted(Classes.from_json(value["classes"]), files)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{path}: can't be read ({error}).", mend="Predict the images again.") from error
    for file in files.values():
        if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
            raise InvalidInput(f"{path}: {file!r} leads out of the folder of images.", mend="Predict the images again.")
    return predicted
