"""TODO benchmarks/grading."""
