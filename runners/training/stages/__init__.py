"""The trainers of the stages: one file for each objective, all on TRL."""
