"""TODO app/storage."""
