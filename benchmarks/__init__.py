"""What a route bought: suites, grading, sampling, statistics, baselines, leaderboards. Imports only `planner`."""
