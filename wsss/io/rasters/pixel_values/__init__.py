"""Pixels of images with more than 8 bits, more than three bands or several pages, and their conversion to 8-bit RGB."""
