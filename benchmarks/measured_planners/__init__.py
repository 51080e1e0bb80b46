"""Planners measured on the shipped recorded tables: the rows that `tuition planners` writes."""
