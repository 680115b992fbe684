"""Synthetic datasets, free to use and redistribute."""
