"""The faces: the command line, and what composes runners and benchmarks for it."""
