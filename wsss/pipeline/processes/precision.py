"""The floating-point precision in which a device computes, if it lacks the requested one."""

from __future__ import annotations

from pathlib import Path

SINGLE, FLOAT16 = "32-true", "16-mixed"
PRECISIONS = (SINGLE, "bf16-mixed", FLOAT16)

_CPU = Path("/proc/cpuinfo")
_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Instructions that multiply in bfloat16: the first two of x86, the last of ARM."""


def usable_precision(wanted: str, device: str) -> str:
    """Return a precision, or ``32-true`` if the device cannot compute in it or would have to emulate it.

    Args:
        wanted: ``32-true``, ``bf16-mixed`` or ``16-mixed``.
        device: ``cpu`` or ``cuda``.
    """
    if wanted == SINGLE or not is_possible(wanted, device):
        return SINGLE
    return wanted if wanted == FLOAT16 or has_bfloat16(device) else SINGLE


def is_possible(precision: str, device: str) -> bool:
    """Return whether a device can compute in a precision, even if slowly: float16 with scaled losses needs a GPU."""
    return precision != FLOAT16 or device != "cpu"


def reason_against(wanted: str, device: str) -> str:
    """Return why `usable_precision` replaces a precision, for a message."""
    if not is_possible(wanted, device):
        return "it requires a GPU"
    return "this device has no bfloat16 instructions and emulating them would be slower"


def has_bfloat16(device: str, cpu: Path = _CPU) -> bool:
    """Return whether a device has instructions for bfloat16; without them it is emulated, and much slower.

    Args:
        device: ``cpu`` or ``cuda``.
        cpu: description of the processor; one without it is assumed to have none.
    """
    if device != "cpu":
        import torch

        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        lines = cpu.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    features = (line.partition(":")[2].split() for line in lines if line.lower().startswith(("flags", "features")))
    return not _FLAGS.isdisjoint(next(features, ()))
