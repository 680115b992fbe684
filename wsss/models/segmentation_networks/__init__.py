"""Segmentation networks, and the class probabilities that they predict for whole images."""
