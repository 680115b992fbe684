"""Files on disk: atomic writes, images, palette masks, arrays, weights."""
