"""Networks that provide the affinities of a random walk: boundary networks, and networks trained for other tasks."""
