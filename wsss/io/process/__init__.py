"""Resources of the machine and of this process: cores, memory, limits, shared state."""
