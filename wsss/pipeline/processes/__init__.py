"""Processes and threads: ranks, worker pools, the supervisor, signals, devices."""
