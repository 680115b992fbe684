"""The optional packages that write and run ONNX files; without torch, because the command line checks them first."""

from __future__ import annotations

from importlib.util import find_spec

from wsss.errors import InvalidInput, listing

PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def require_onnx() -> None:
    """Require the packages that write and run ONNX files.

    Raises:
        InvalidInput: one is not installed.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise InvalidInput(
            f"requires {listing(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed",
            subject="--format onnx",
            hint="Install the extra: pip install 'wsss[onnx]'",
        )
