"""How a command works: worker processes, locks, progress and logs, and clean stops."""
