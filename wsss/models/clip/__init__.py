"""CLIP models of `open_clip`, and class maps from their gradients and their attention."""
