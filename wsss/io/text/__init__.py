"""Text files: CSV, XML, plain text, and printable names."""
