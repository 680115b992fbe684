"""Times as text."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp() -> str:
    """Return the current time in UTC in ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def duration(seconds: float, *, digits: int = 1) -> str:
    """Return a time as text: ``0.4 s``, ``12 s``, ``3 min 5 s``, ``2 h 10 min``.

    Args:
        digits: minimum number of digits of the smaller unit: ``3 min 05 s``.
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:0{digits}d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:0{digits}d} min"
