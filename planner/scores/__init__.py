"""Scores of a study: what an evaluation returns, those on the way, and what was observed so far."""
