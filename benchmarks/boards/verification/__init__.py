"""Verification of leaderboard folders: what files can show, and what a submission may do."""
