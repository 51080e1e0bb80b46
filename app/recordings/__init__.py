"""TODO app/recordings."""
