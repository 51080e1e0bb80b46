"""TODO runners/store."""
