"""TODO benchmarks/boards."""
