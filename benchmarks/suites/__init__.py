"""Suites of problems, one file each."""
