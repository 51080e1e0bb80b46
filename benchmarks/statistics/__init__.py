"""Statistics: intervals, paired differences, corrections for many comparisons, pass@k and power."""
