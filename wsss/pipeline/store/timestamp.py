"""Times in records."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp() -> str:
    """Return the current time in UTC in ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
