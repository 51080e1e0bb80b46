"""Checks on a machine with a GPU: `make gpu-check`."""
