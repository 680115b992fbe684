"""Tiles: small crops of images with image-level labels of their own."""
