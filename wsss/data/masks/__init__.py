"""Masks of a dataset: their values, where they are, and predicted ones."""
