"""Files and folders: atomic writes, containment, locks, checksums, records."""
