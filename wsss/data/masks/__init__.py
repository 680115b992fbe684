"""Mask values of a dataset, and predicted masks."""
