"""How a search goes through its trials, and what becomes of those that are interrupted."""
