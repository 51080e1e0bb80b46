"""The stages: one file for each way of training, all on TRL."""
