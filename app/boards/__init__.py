"""TODO app/boards."""
