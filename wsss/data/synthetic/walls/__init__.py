"""Synthetic brick walls: geometry, appearance, nuisances and labels."""
