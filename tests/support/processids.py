"""Work that returns where it was done; without imports, so that worker processes start fast."""

from __future__ import annotations

import os
import time


def process_of(item: int) -> int:
    """Return the process id, after a time in which another process gets the next item."""
    time.sleep(0.3)
    return os.getpid()
