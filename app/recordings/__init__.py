"""Recorded tables on the command line: recorded, summarised, compared, and raced on by planners."""
