"""Dataset layouts: one file per layout, and the label tables that they share."""
