"""Text files and text from outside: JSON, CSV, XML, printable names."""
