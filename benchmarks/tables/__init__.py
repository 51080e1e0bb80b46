"""TODO benchmarks/tables."""
