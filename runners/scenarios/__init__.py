"""Scenarios: the YAML file, its settings and sources, and the checks and predictions made of it."""
