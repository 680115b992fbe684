"""Pipeline files: found, read, merged, interpolated and validated."""
