"""Large images in overlapping windows, through which a network sees them as it would see the whole image."""
