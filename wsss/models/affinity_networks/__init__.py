"""Networks whose outputs are affinities of nearby pixels: trained for boundaries, or for something else."""
