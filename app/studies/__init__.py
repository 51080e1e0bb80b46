"""TODO app/studies."""
