"""Model folders: ``model.safetensors`` (weights) beside ``model.json`` (all that is needed to rebuild the network)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.errors import InvalidInput, listing
from wsss.io.atomic import write_bytes, write_json
from wsss.io.contained import open_regular
from wsss.io.jsonfiles import read_json
from wsss.io.recorded import check_recorded

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "model.safetensors"
DESCRIPTION = "model.json"


def save_model(folder: Path, weights: Mapping[str, Tensor], description: Mapping[str, Any]) -> None:
    """Write a model folder; the description last, so that a folder that has it is complete."""
    from safetensors.torch import save

    write_bytes(folder / WEIGHTS, save({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}))
    write_json(folder / DESCRIPTION, description)


def load_description(folder: Path, kind: str | None = None) -> dict[str, Any]:
    """Read ``model.json``; ``kind`` is that of the model that is wanted, to name a folder with one where it isn't here.

    Raises:
        InvalidInput: the folder holds no (readable) model, or not the one that its stage wrote.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        below = sorted(found.parent for found in folder.glob(f"*/{DESCRIPTION}") if kind in (None, _kind(found)))
        raise InvalidInput(
            f"{folder}: no model here ({DESCRIPTION} is missing).",
            mend=f"There is one in {listing(below)}: name that folder." if below else None,
        )
    check_recorded(path, always=True)
    try:
        description = read_json(path)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path}: not valid JSON ({error}).") from error
    if not isinstance(description, dict):
        raise InvalidInput(f"{path}: expected a JSON object.")
    return description


def _kind(path: Path) -> Any:
    try:
        return read_json(path).get("kind")
    except (OSError, ValueError, AttributeError):
        return None  # a broken one is none to propose


def load_weights(folder: Path) -> dict[str, Tensor]:
    """Read ``model.safetensors`` to the CPU.

    Raises:
        InvalidInput: missing or broken, or not what its stage wrote.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / WEIGHTS
    check_recorded(path, always=True)
    try:
        os.close(open_regular(path))  # safetensors would wait for the other end of a pipe
        return load_file(path)
    except FileNotFoundError as error:
        raise InvalidInput(f"{path}: no such file.") from error
    except (SafetensorError, OSError) as error:
        raise InvalidInput(f"{path}: not a readable safetensors file ({error}).") from error
