"""Masks as inputs of a stage or a command: of a run, of a stage, or of any folder."""
