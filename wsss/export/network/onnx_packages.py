"""The optional packages that write and run ONNX files; without torch, because the command line checks them first."""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec

from wsss.errors import InvalidInput, listing

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
OLDEST_TORCH = (2, 9)
"""Exporters of older versions do not convert all networks."""


def require_onnx() -> None:
    """Require the packages that write and run ONNX files.

    Raises:
        InvalidInput: one is not installed, or torch is too old.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise InvalidInput(
            f"requires {listing(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed",
            subject="--format onnx",
            hint="Install the extra: pip install 'wsss[onnx]'",
        )
    torch = version("torch")
    if tuple(int(part) for part in torch.split(".")[:2]) < OLDEST_TORCH:
        raise InvalidInput(
            subject="--format onnx",
            found=f"torch {torch}",
            allowed=f"torch {'.'.join(map(str, OLDEST_TORCH))} or newer",
            hint="Update it: pip install --upgrade 'wsss[onnx]'",
        )
