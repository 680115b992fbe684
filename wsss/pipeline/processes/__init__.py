"""Processes and threads: ranks, worker pools, the supervising process, signals, devices."""
