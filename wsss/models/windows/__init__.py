"""Large images in overlapping windows, from which a network computes the same as from the whole image."""
