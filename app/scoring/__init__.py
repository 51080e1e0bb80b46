"""Scores on the command line: checkpoints benched, saved outputs graded, suites listed, comparisons sized."""
