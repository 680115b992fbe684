"""TopoMortar's benchmark: result files, groups of test images, statistics, tables and plots."""
