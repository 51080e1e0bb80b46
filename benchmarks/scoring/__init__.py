"""Scoring: how completions are drawn and graded, and the store that keeps each score once."""
