"""What masks are worth: overlap with the ground truth."""
