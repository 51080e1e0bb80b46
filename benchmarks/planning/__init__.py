"""What planners are measured on and against: simulated problems with an exact truth, rivals, and the race."""
