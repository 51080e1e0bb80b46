"""Scenarios on the command line: written, checked, described, and held against this machine."""
