"""Leaderboards: entries that anybody can recompute, their folders, their ranks and their exports."""
