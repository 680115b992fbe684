"""Synthetic datasets: made by our own code, so that anyone may use and redistribute them."""
