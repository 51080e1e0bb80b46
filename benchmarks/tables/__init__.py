"""Recorded tables: routes trained with several seeds, and replayed for planners."""
