"""Model folders: ``model.safetensors`` (weights) and ``model.json`` (the description of the network)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.errors import InvalidInput, listing, unreadable
from wsss.io.files.atomic import write_bytes, write_json
from wsss.io.files.contained import open_regular
from wsss.io.files.json_files import read_json, read_json_object
from wsss.io.files.recorded import check_recorded

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "model.safetensors"
DESCRIPTION = "model.json"

VARIANCE = "running_var"
"""Suffix of the names of BatchNorm variances."""


def save_model(folder: Path, weights: Mapping[str, Tensor], description: Mapping[str, Any]) -> None:
    """Write a model folder, the description last, so that a folder with a description is complete."""
    from safetensors.torch import save

    write_bytes(folder / WEIGHTS, save({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}))
    write_json(folder / DESCRIPTION, description)


def load_description(folder: Path, kind: str | None = None) -> dict[str, Any]:
    """Read ``model.json``.

    Args:
        kind: expected kind of model, for the suggestion of a subfolder if ``folder`` contains no model.

    Raises:
        InvalidInput: the folder contains no readable model, or the model was changed after its stage finished.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        below = sorted(file.parent for file in folder.glob(f"*/{DESCRIPTION}") if kind in (None, _kind(file)))
        hint = f"There is a model in {listing(below)}." if below else None
        raise InvalidInput(f"no model in this folder ({DESCRIPTION} is missing)", subject=folder, hint=hint)
    check_recorded(path, always=True)
    try:
        description = read_json(path)
    except ValueError as error:
        hint = "Train again, or restore the original file."
        raise InvalidInput(f"not valid JSON ({error})", subject=path, hint=hint) from error
    except OSError as error:
        raise unreadable(path, error) from error
    if not isinstance(description, dict):
        raise InvalidInput(subject=path, allowed="a JSON object")
    return description


def _kind(path: Path) -> Any:
    return (read_json_object(path) or {}).get("kind")


def load_weights(folder: Path) -> dict[str, Tensor]:
    """Read ``model.safetensors`` to the CPU.

    Raises:
        InvalidInput: the file is missing or broken, was changed after its stage finished, or see `require_usable`.
    """
    path = folder / WEIGHTS
    check_recorded(path, always=True)
    weights = read_safetensors(path)
    require_usable(weights, path)
    return weights


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a ``.safetensors`` file to the CPU.

    Raises:
        InvalidInput: the file is missing or broken.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        os.close(open_regular(path))  # safetensors would block on a pipe
        return load_file(path)
    except FileNotFoundError as error:
        raise unreadable(path, error) from error
    except (SafetensorError, OSError) as error:
        raise InvalidInput(f"not a readable safetensors file ({error})", subject=path) from error


def require_usable(weights: Mapping[str, Tensor], path: Path) -> None:
    """Require finite weights and non-negative variances; with one NaN, every pixel would silently be background.

    Args:
        path: file of the weights, for error messages.

    Raises:
        InvalidInput: a weight is not finite or a variance is negative; names the tensors.
    """
    broken = {name: tensor for name, tensor in weights.items() if not bool(tensor.isfinite().all())}
    if broken:
        name, tensor = next(iter(broken.items()))
        count = int((~tensor.isfinite()).sum())
        more = f"; {len(broken)} of {len(weights)} tensors are invalid: {listing(broken)}" if len(broken) > 1 else ""
        raise InvalidInput(
            f"{count} of {tensor.numel()} values are NaN or infinite{more}",
            subject=f"{path}: tensor {name!r}",
            hint="The file is damaged, or the training diverged: train again, with a lower learning rate if it did.",
        )
    negative = [name for name, tensor in weights.items() if name.endswith(VARIANCE) and bool((tensor < 0).any())]
    if negative:
        raise InvalidInput(
            subject=f"{path}: tensor {negative[0]!r}",
            allowed="variances of at least 0",
            found=float(weights[negative[0]].min()),
            hint="The file is damaged: train again, or use another file.",
        )
