"""Model folders: ``model.safetensors`` (weights) beside ``model.json`` (all that is needed to rebuild the network)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.errors import InvalidInput, listing
from wsss.io.files.atomic import write_bytes, write_json
from wsss.io.files.contained import open_regular
from wsss.io.files.recorded import check_recorded
from wsss.io.text.json_files import read_json

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "model.safetensors"
DESCRIPTION = "model.json"

VARIANCE = "running_var"
"""How the names of BatchNorm's variances end."""


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
            hint=f"There is one in {listing(below)}: name that folder." if below else None,
        )
    check_recorded(path, always=True)
    try:
        description = read_json(path)
    except ValueError as error:
        raise InvalidInput(
            f"{path}: not valid JSON ({error}).", hint="Train again, or take the file as its stage wrote it."
        ) from error
    except OSError as error:
        raise InvalidInput(f"{path}: can't be read ({error.strerror}).") from error
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
        InvalidInput: missing or broken, not what its stage wrote, or see `require_usable`.
    """
    path = folder / WEIGHTS
    check_recorded(path, always=True)
    weights = read_safetensors(path)
    require_usable(weights, path)
    return weights


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a ``.safetensors`` file to the CPU.

    Raises:
        InvalidInput: missing or broken.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        os.close(open_regular(path))  # safetensors would wait for the other end of a pipe
        return load_file(path)
    except FileNotFoundError as error:
        raise InvalidInput(f"{path}: no such file.") from error
    except (SafetensorError, OSError) as error:
        raise InvalidInput(f"{path}: not a readable safetensors file ({error}).") from error


def require_usable(weights: Mapping[str, Tensor], path: Path) -> None:
    """Require weights that a network can compute with: one NaN makes every pixel background, without an error.

    Args:
        weights: tensor name → tensor.
        path: their file.

    Raises:
        InvalidInput: values that aren't finite, or negative variances; names the tensors.
    """
    broken = {name: tensor for name, tensor in weights.items() if not bool(tensor.isfinite().all())}
    if broken:
        name, tensor = next(iter(broken.items()))
        count = int((~tensor.isfinite()).sum())
        more = f" (in all {len(broken)} of {len(weights)} tensors: {listing(broken)})" if len(broken) > 1 else ""
        raise InvalidInput(
            f"{path}: tensor {name!r}: expected finite numbers, got NaN or infinity in {count} of {tensor.numel()} "
            f"values{more}.",
            hint="The file is damaged, or the training diverged: train again, then with a lower learning rate.",
        )
    negative = [name for name, tensor in weights.items() if name.endswith(VARIANCE) and bool((tensor < 0).any())]
    if negative:
        lowest = float(weights[negative[0]].min())
        raise InvalidInput(
            f"{path}: tensor {negative[0]!r}: expected variances of 0 or more, got {lowest}.",
            hint="The file is damaged: train again, or take another file.",
        )
