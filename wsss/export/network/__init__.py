"""Trained segmentation networks in the formats of other programs."""
