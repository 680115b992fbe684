"""Labels in JSON and JSON Lines."""
