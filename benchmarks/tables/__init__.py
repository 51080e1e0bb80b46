"""Recorded tables: routes trained with several seeds, replayed for planners and read as evidence."""
