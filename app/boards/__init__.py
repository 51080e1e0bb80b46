"""Leaderboard folders on the command line: entries added, shown and verified."""
