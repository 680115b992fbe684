"""CPU or GPU."""

from __future__ import annotations

from pathlib import Path

from wsss.errors import InvalidInput

DEVICES = ("auto", "cpu", "cuda")
_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def resolve_device(device: str) -> str:
    """Return ``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``.

    ``auto`` asks torch (a second to import) only where a GPU driver (NVIDIA, WSL, AMD) shows itself.

    Raises:
        InvalidInput: ``cuda`` was asked for and is not there.
    """
    if device == "cpu" or (device == "auto" and not any(Path(driver).exists() for driver in _DRIVERS)):
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        built = torch.version.cuda or "none"
        raise InvalidInput(
            f"--device cuda: torch sees no GPU (torch {torch.__version__}, built for CUDA {built}).",
            hint="Use --device cpu, or install a torch that fits the driver.",
        )
    return "cpu"
