"""The random walk of `propagate`: its config, boundary maps, and affinities of networks that are not trained for it."""
