"""The run directory: reading and writing of records, artifacts, locks, verification and repair."""
