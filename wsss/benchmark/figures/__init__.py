"""Figures of a benchmark: box plots and rank diagrams."""
