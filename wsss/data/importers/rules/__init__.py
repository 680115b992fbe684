"""Rules that all importers share: keys, names of splits, presence and absence."""
