"""TODO runners/base_models."""
