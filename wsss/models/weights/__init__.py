"""Weights of networks: their origin, their file, and the description that rebuilds the network."""
