"""Files and folders: atomic writes, containment, locks, checksums, JSON, records."""
