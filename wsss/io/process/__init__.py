"""Resources of the machine and of the process: cores, memory, limits, shared state."""
