"""What a study's posterior says to people: what to deploy, what to train next, what other allocations would score."""
