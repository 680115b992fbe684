"""Real data outside of the repository, which some tests need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

IS_SHARED = bool(os.environ.get("WSSS_SHARED_DATA"))
SHARED_DATA = Path(os.environ.get("WSSS_SHARED_DATA") or "no-shared-data")
"""The folder that contains ``voc_animals``, ``topomortar``, ``fixtures`` and ``weights``."""

needs_shared_data = pytest.mark.skipif(not IS_SHARED, reason="WSSS_SHARED_DATA is not set")
