"""Augmentation and evaluation transforms of images: settings, and the functions that apply them."""
