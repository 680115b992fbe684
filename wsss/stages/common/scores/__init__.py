"""Scores of one image or one map, and the table that compares the scores of a matrix."""
