"""What the dashboard's pages show, read from a results folder that others may be writing to."""
