"""TODO app/scoring."""
