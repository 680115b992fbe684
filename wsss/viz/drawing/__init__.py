"""Charts, overlays, colours and text in pictures."""
