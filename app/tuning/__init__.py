"""Tuning every stage by the same number of tries."""
