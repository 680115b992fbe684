"""Maps and masks of batches of images, computed by networks in this process and recorded."""
