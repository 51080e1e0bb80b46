"""Training of one block: its rows, its processes, its trainer, and what it leaves."""
