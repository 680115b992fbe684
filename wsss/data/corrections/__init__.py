"""Corrected masks: read from the formats of other tools, kept in a folder, and applied to pseudo masks."""
