"""Execution: stages and their per-image work, progress, errors and records."""
