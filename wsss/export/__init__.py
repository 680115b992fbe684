"""Masks as other tools take them: one file per format, each a function of masks, options and a folder."""
