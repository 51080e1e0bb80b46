"""TODO app/processes."""
