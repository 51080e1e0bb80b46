"""How well the estimate law holds: docs/costs.md."""
