"""Evidence from recorded tables: comparisons, the paper's claims, the teacher's share, the best splits."""
