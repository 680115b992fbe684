"""Training: one loop, exact resume, optimisers and schedules."""
