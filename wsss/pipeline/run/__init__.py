"""Execution: running stages and their per-image work, with progress and errors."""
