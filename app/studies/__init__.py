"""Studies: searches, single runs and baselines, the test that follows them, and the report that they leave."""
