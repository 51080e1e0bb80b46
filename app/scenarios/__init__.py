"""TODO app/scenarios."""
