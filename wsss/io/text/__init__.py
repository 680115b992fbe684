"""Text files: JSON, CSV, XML, and printable names."""
