"""Engines: what draws completions, one file each."""
