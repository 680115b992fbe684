"""Datasets: readers, splits, transforms, synthetic generators and the integrity check."""
