"""Readers of masks, one per format: each returns the images of a source and the regions drawn on them."""
