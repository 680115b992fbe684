"""Pipeline files: find, read, merge, override, interpolate and validate them."""
