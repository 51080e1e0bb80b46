"""TODO runners/training."""
