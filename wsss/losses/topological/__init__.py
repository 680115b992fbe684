"""Losses that add a topological term to a region loss."""
