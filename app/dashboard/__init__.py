"""The dashboard: what a results folder holds, as pages. It only reads, and computes no statistic of its own."""
