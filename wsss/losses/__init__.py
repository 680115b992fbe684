"""Segmentation losses, one file per family, chosen by name."""
