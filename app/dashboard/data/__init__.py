"""TODO app/dashboard/data."""
