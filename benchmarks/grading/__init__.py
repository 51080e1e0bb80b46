"""Grading: whether an answer equals the checked one, by math-verify in worker processes."""
