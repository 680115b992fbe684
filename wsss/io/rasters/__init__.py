"""Images, masks, maps and probabilities on disk."""
