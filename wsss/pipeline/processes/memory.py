"""Peak memory of a stage: on the GPU if it uses one, otherwise of this process (Linux only)."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from wsss.io.process.cgroups import field_of

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def reset_peak(device: str) -> None:
    """Reset the peak; if the system cannot, `peak_bytes` includes earlier work."""
    cuda = _cuda(device)
    if cuda is not None:
        cuda.reset_peak_memory_stats()
    else:
        with suppress(OSError):  # not Linux, or a container without permission
            _CLEAR.write_text("5")


def peak_bytes(device: str) -> int | None:
    """Return the peak memory since `reset_peak` in bytes, ``None`` if it is unknown.

    On a GPU, torch's allocations; else the resident memory of this process without its worker processes.
    """
    cuda = _cuda(device)
    if cuda is not None:
        return int(cuda.max_memory_allocated())
    kilobytes = field_of(_STATUS, "VmHWM:")
    return None if kilobytes is None else kilobytes * 1024


def _cuda(device: str) -> Any:
    """Return ``torch.cuda`` if the stage runs on a GPU and torch has been imported."""
    torch = sys.modules.get("torch") if device == "cuda" else None
    return torch.cuda if torch is not None and torch.cuda.is_available() else None
