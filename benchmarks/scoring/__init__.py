"""TODO benchmarks/scoring."""
