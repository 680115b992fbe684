"""Dataset layouts: one module per layout, and the label tables that they share."""
