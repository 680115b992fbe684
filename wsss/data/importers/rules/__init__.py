"""Rules shared by all importers: keys and columns, class names, splits, presence and absence."""
