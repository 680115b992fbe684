"""Folders that network drives and operating systems create next to a user's files."""

from __future__ import annotations

SYSTEM_FOLDERS = frozenset(
    {"@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "__macosx", "$recycle.bin"}
    | {"system volume information", "lost+found", "__pycache__"}
)
"""Their names in lower case."""
