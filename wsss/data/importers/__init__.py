"""Import of image-level labels that others have written: one file per format, then matching, splits, a pipeline."""
