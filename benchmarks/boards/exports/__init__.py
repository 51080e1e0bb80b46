"""Exports: a leaderboard written as Markdown, one HTML page, CSV, JSON, LaTeX or BibTeX, one file a format."""
