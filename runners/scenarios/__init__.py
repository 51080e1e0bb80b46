"""TODO runners/scenarios."""
