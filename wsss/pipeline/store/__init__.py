"""The run directory: records of runs and stages, their artifacts, locks, verification and repair."""
