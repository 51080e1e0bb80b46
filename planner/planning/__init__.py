"""The planner of splits: what a search trains and scores next, and what it says of what it has not trained."""
