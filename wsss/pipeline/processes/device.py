"""CPU or GPU."""

from __future__ import annotations

from pathlib import Path

from wsss.errors import InvalidInput

DEVICES = ("auto", "cpu", "cuda")
_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def check_device(device: str) -> None:
    """Raise `InvalidInput` for an unknown device."""
    if device not in DEVICES:
        raise InvalidInput(subject="device", found=device, allowed=DEVICES)


def resolve_device(device: str) -> str:
    """Return ``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``.

    ``auto`` imports torch (one second) only if a GPU driver (NVIDIA, WSL, AMD) is installed.

    Raises:
        InvalidInput: unknown device, or ``cuda`` is not available.
    """
    check_device(device)
    if device == "cpu" or (device == "auto" and not any(Path(driver).exists() for driver in _DRIVERS)):
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise InvalidInput(
            f"no GPU available (torch {torch.__version__}, built for CUDA {torch.version.cuda or 'none'})",
            subject="device cuda",
            hint="Use the device cpu, or install a torch build that supports your driver.",
        )
    return "cpu"
