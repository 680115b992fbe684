"""Loading of trained networks, and the maps and masks that they compute for batches of images in this process."""
